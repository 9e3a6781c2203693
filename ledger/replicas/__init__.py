"""Which server a read goes to: a replica that may answer it, else the primary.

Decisions, outcomes of commands and the directory are never read here: they need the newest, which only the primary has.
"""
