"""The directory over HTTP: customers, levels, products, roles, API keys and users, all served by one kind of resource.

Each module of one has its ROUTES; api.directory.areas has them all.
"""
