"""Audit: prove from the stored bytes that the log obeyed its rules, and replay it to any position.

Read only. What is checked here is written anew rather than borrowed from ledger.append, so that a fault there does not
hide itself; only what defines the stored form is shared: ledger.leaf, ledger.events, ledger.codec.
"""
