"""The directory: master data that does change - customers, levels, products, roles and API keys."""
