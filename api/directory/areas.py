"""The areas of the API that the directory serves."""

from __future__ import annotations

from api.directory import api_keys, customers, levels, products, roles, users, webhooks

AREAS = (
    customers.ROUTES,
    levels.ROUTES,
    products.ROUTES,
    roles.ROUTES,
    api_keys.ROUTES,
    users.ROUTES,
    webhooks.ROUTES,
)
