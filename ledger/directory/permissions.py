"""What one may be permitted, and the roles that come ready."""

from __future__ import annotations

PERMISSIONS: dict[str, str] = {
    "customers.read": "see customers",
    "customers.write": "create and change customers, their level, credit limit and status",
    "customers.delete": "delete or deactivate customers",
    "levels.read": "see levels",
    "levels.write": "create, change and delete levels",
    "products.read": "see products",
    "products.write": "create, change and delete products",
    "users.read": "see users",
    "users.write": "create, change and delete users, and reset their passwords",
    "roles.read": "see roles and their permissions",
    "roles.write": "create, change and delete roles",
    "api_keys.read": "see API keys (never their secrets)",
    "api_keys.write": "create and revoke API keys",
    "webhooks.read": "see subscriptions and their deliveries (never their secrets)",
    "webhooks.write": "create, change and delete subscriptions, replay and test them, and renew their secrets",
    "recharges.post": "add money to an account",
    "deductions.post": "take money from an account",
    "transactions.reverse": "reverse a recharge or a deduction",
    "transactions.read": "see transactions",
    "orders.place": "place orders",
    "orders.cancel": "cancel orders",
    "orders.read": "see and search orders",
    "orders.resolve": "decide parked orders",
    "balances.read": "see balances",
    "statements.read": "see statements",
    "commands.read": "see the outcomes of one's own commands",
    "batches.post": "send many commands in one request; each also needs its own permission",
    "events.read": "read the log",
    "proofs.read": "see signed checkpoints and the tree's tiles, and get the proof of an event that one may see",
    "log.read": "read the whole log as the tree's entries",
    "trial_balance.read": "see the trial balance",
    "operations.read": "see queues, workers and the check of settings",
}
"""Every permission, with what it allows."""

_READS = frozenset(name for name in PERMISSIONS if name.endswith(".read"))
_OPERATOR = frozenset(PERMISSIONS) - {
    "roles.write",
    "api_keys.read",
    "api_keys.write",
    "events.read",
    "log.read",
    "roles.read",
    "users.read",
    "users.write",
    "webhooks.read",
    "webhooks.write",
}
_CUSTOMER = frozenset(
    {
        "orders.place",
        "orders.cancel",
        "orders.read",
        "balances.read",
        "transactions.read",
        "statements.read",
        "products.read",
        "commands.read",
        "batches.post",
        "proofs.read",
    }
)

BINDABLE = frozenset(PERMISSIONS) - {
    "customers.write",
    "customers.delete",
    "levels.write",
    "products.write",
    "users.read",
    "users.write",
    "roles.read",
    "roles.write",
    "api_keys.write",
    "webhooks.read",
    "webhooks.write",
    "log.read",
    "trial_balance.read",
    "operations.read",
}
"""What a principal bound to one customer may hold: permissions whose effect stays with that customer."""

ROLES: dict[str, frozenset[str]] = {
    "admin": frozenset(PERMISSIONS),
    "operator": _OPERATOR,
    "auditor": _READS - {"api_keys.read", "users.read", "operations.read", "webhooks.read"},
    "customer": _CUSTOMER,
}
"""The roles that come ready."""
