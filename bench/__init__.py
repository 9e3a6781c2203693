"""Measurements of the ledger beside what people usually write instead, on one machine and in one run."""
