"""What is safe: the catalogue of checks, and those of the database's server."""
