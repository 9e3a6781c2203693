"""The ledger: pure rules, the log of events, and the directory of customers, levels and products."""
