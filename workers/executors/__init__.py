"""Executors: the adapters to the outside systems that fulfil orders."""
