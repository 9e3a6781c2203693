"""Codes by SMS with which people log in, and the providers that send them."""
