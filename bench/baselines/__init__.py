"""What people usually write instead of the ledger, as well as it is usually written.

They keep less: no position, no order among all accounts, no hash, no answer to a repeated key other than an error.
"""
