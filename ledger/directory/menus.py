"""The console's menus: every page with the permission that opens it, and what a role is shown of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuItem:
    """A page of the console: `key` names it, `permission` opens it (None: whoever is logged in)."""

    key: str
    path: str
    en: str
    zh: str
    permission: str | None
    for_customers: bool = False
    """Whether it is a page of a customer's own rather than of the staff."""


ITEMS: tuple[MenuItem, ...] = (
    MenuItem(key="dashboard", path="/", en="Dashboard", zh="概览", permission="trial_balance.read"),
    MenuItem(key="customers", path="/customers", en="Customers", zh="客户", permission="customers.read"),
    MenuItem(key="orders", path="/orders", en="Orders", zh="订单", permission="orders.read"),
    MenuItem(key="transactions", path="/transactions", en="Transactions", zh="流水", permission="transactions.read"),
    MenuItem(key="levels", path="/levels", en="Levels", zh="等级", permission="levels.read"),
    MenuItem(key="products", path="/products", en="Products", zh="产品", permission="products.write"),
    MenuItem(key="events", path="/events", en="Events", zh="事件", permission="events.read"),
    MenuItem(
        key="trial-balance", path="/trial-balance", en="Trial balance", zh="试算平衡", permission="trial_balance.read"
    ),
    MenuItem(key="users", path="/users", en="Users", zh="用户", permission="users.read"),
    MenuItem(key="roles", path="/roles", en="Roles and menus", zh="角色与菜单", permission="roles.read"),
    MenuItem(key="api-keys", path="/api-keys", en="API keys", zh="API 密钥", permission="api_keys.read"),
    MenuItem(key="home", path="/", en="My account", zh="我的账户", permission="balances.read", for_customers=True),
    MenuItem(key="place", path="/place", en="Place an order", zh="下单", permission="orders.place", for_customers=True),
    MenuItem(
        key="my-orders", path="/orders", en="My orders", zh="我的订单", permission="orders.read", for_customers=True
    ),
    MenuItem(
        key="my-transactions",
        path="/transactions",
        en="My transactions",
        zh="我的流水",
        permission="transactions.read",
        for_customers=True,
    ),
    MenuItem(key="account", path="/account", en="Password and sessions", zh="密码与会话", permission=None),
)
"""Every page, in the order in which it is shown."""


def menu_of(permissions: Collection[str], *, is_customer: bool) -> list[dict[str, Any]]:
    """Return the pages that these permissions open, as clients see them."""
    return [
        {"key": each.key, "path": each.path, "label": {"en": each.en, "zh": each.zh}}
        for each in ITEMS
        if each.permission is None or (each.permission in permissions and each.for_customers == is_customer)
    ]
