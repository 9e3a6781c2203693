"""Serve the ledger over HTTP: routes, schemas, problems and the web console."""
