"""The console's menus: every page with the permission that opens it, and the tree in which a role is shown them.

A role has the default tree unless it was given one of its own: a list of entries, each a page or a group of pages, as
``{"key": …, "label"?: {"en"?: …, "zh"?: …}, "hidden"?: true, "children"?: […]}``. A menu shows what the permissions
open; it gives nobody a permission, and hiding a page takes none away.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.directory.errors import BadField

LABEL_LENGTH_MAX = 40
ENTRIES_MAX = 100
LANGUAGES = ("en", "zh")
_GROUP_KEY = re.compile(r"[a-z0-9][a-z0-9\-]{0,39}")
Entry = Mapping[str, Any]


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
    group: str | None = None


GROUPS: Mapping[str, Mapping[str, str]] = {
    "catalogue": {"en": "Catalogue", "zh": "目录"},
    "books": {"en": "Books", "zh": "账簿"},
    "administration": {"en": "Administration", "zh": "管理"},
}
"""The groups that come ready."""


def _page(key: str, en: str, zh: str, permission: str | None, **more: Any) -> MenuItem:
    return MenuItem(key=key, path=more.pop("path", f"/{key}"), en=en, zh=zh, permission=permission, **more)


ITEMS: tuple[MenuItem, ...] = (
    _page("dashboard", "Dashboard", "概览", "trial_balance.read", path="/"),
    _page("customers", "Customers", "客户", "customers.read"),
    _page("orders", "Orders", "订单", "orders.read"),
    _page("transactions", "Transactions", "流水", "transactions.read"),
    _page("levels", "Levels", "等级", "levels.read", group="catalogue"),
    _page("products", "Products", "产品", "products.write", group="catalogue"),
    _page("events", "Events", "事件", "events.read", group="books"),
    _page("balances", "Past balances", "历史余额", "balances.read", group="books"),
    _page("trial-balance", "Trial balance", "试算平衡", "trial_balance.read", group="books"),
    _page("proofs", "Proofs", "证明", "log.read", group="books"),
    _page("what-if", "What if", "假设分析", "trial_balance.read", group="books"),
    _page("users", "Users", "用户", "users.read", group="administration"),
    _page("roles", "Roles and menus", "角色与菜单", "roles.read", group="administration"),
    _page("api-keys", "API keys", "API 密钥", "api_keys.read", group="administration"),
    _page("webhooks", "Webhooks", "Webhook 推送", "webhooks.read", group="administration"),
    _page("queues", "Queues and workers", "队列与进程", "operations.read", group="administration"),
    _page("doctor", "Settings check", "设置检查", "operations.read", group="administration"),
    _page("home", "My account", "我的账户", "balances.read", path="/", for_customers=True),
    _page("place", "Place an order", "下单", "orders.place", for_customers=True),
    _page("my-orders", "My orders", "我的订单", "orders.read", path="/orders", for_customers=True),
    _page(
        "my-transactions", "My transactions", "我的流水", "transactions.read", path="/transactions", for_customers=True
    ),
    _page("my-statement", "My statement", "我的对账单", "statements.read", path="/statement", for_customers=True),
    _page("account", "Password and sessions", "密码与会话", None),
)
"""Every page, in the order in which it is shown."""
_BY_KEY = {each.key: each for each in ITEMS}


def menu_of(
    permissions: Collection[str], *, is_customer: bool, own: Sequence[Entry] | None = None
) -> list[dict[str, Any]]:
    """Return the pages that these permissions open, in a role's own order or the default one, as clients see them."""

    def is_open(item: MenuItem) -> bool:
        return item.permission is None or (item.permission in permissions and item.for_customers == is_customer)

    def shown(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
        for each in entries:
            item = _BY_KEY.get(each["key"])
            if not each.get("hidden") and (item is None or is_open(item)):
                yield {"key": each["key"], "path": None if item is None else item.path, "label": _label(each)}

    found = [
        {**outer, "children": list(shown(entry.get("children", ())))}
        for entry in arranged(own or ())
        for outer in shown([entry])
    ]
    return [each for each in found if each["path"] is not None or each["children"]]


def whole_menu(permissions: Collection[str], own: Sequence[Entry] | None) -> list[dict[str, Any]]:
    """Return every page that these permissions open to staff or to a customer, also hidden ones, for an editor."""

    def described(entry: Entry, **more: Any) -> dict[str, Any]:
        item = _BY_KEY.get(entry["key"])
        return {
            "key": entry["key"],
            "path": None if item is None else item.path,
            "label": dict(_label(entry)),
            "default_label": dict(_default_label(entry["key"])),
            "hidden": entry.get("hidden", False),
            "for_customers": item is not None and item.for_customers,
            **more,
        }

    def is_open(entry: Entry) -> bool:
        item = _BY_KEY.get(entry["key"])
        return item is None or item.permission is None or item.permission in permissions

    return [
        described(each, children=[described(inner) for inner in each.get("children", ()) if is_open(inner)])
        for each in arranged(own or ())
        if is_open(each)
    ]


def arranged(own: Sequence[Entry]) -> list[Entry]:
    """Return a tree with every page: first its own entries, then what it does not name, where the default has it."""
    named = {each["key"] for entry in own for each in (entry, *entry.get("children", ()))}
    tree: list[dict[str, Any]] = [_copied(each) for each in own]
    by_key = {each["key"]: each for each in tree}
    for item in ITEMS:
        if item.key in named:
            continue
        if item.group is None:
            tree.append({"key": item.key})
            continue
        if item.group not in by_key:
            by_key[item.group] = {"key": item.group, "children": []}
            tree.append(by_key[item.group])
        by_key[item.group]["children"].append({"key": item.key})
    # Whatever a role's own tree leaves open, one's password and sessions come last.
    return sorted(tree, key=lambda each: each["key"] == "account" and "account" not in named)


def checked(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return a tree as it is stored. Raises BadField: an unknown page, a page twice, a group within a group."""
    seen: set[str] = set()
    return [_checked(each, f"/menu/{index}", seen, is_inner=False) for index, each in enumerate(entries)]


def _checked(entry: Entry, at: str, seen: set[str], *, is_inner: bool) -> dict[str, Any]:
    key, children = entry["key"], entry.get("children")
    if key in seen:
        raise BadField(pointer=f"{at}/key", problem=f"{key} is in the menu twice")
    seen.add(key)
    if len(seen) > ENTRIES_MAX:
        raise BadField(pointer="/menu", problem=f"a menu may have {ENTRIES_MAX} entries")
    if key in _BY_KEY:
        if children:
            raise BadField(pointer=f"{at}/children", problem="a page has no pages below it; make a group")
    elif is_inner:
        raise BadField(pointer=f"{at}/key", problem=f"no page {key}; there are {', '.join(_BY_KEY)}")
    elif not _GROUP_KEY.fullmatch(key):
        raise BadField(pointer=f"{at}/key", problem="a group's key is 1 to 40 of a-z 0-9 -")
    elif key not in GROUPS and not entry.get("label"):
        raise BadField(pointer=f"{at}/label", problem="a group of one's own needs a name")
    kept: dict[str, Any] = {"key": key}
    label = {name: text for name, text in (entry.get("label") or {}).items() if text}
    if label:
        kept["label"] = label
    if entry.get("hidden"):
        kept["hidden"] = True
    if key not in _BY_KEY:
        kept["children"] = [
            _checked(each, f"{at}/children/{index}", seen, is_inner=True) for index, each in enumerate(children or ())
        ]
    return kept


def _label(entry: Entry) -> dict[str, str]:
    """Return the entry's name in every language: its own, else the default, else its own in another language."""
    own, default = entry.get("label") or {}, _default_label(entry["key"])
    fallback = next(iter(own.values()), entry["key"])
    return {language: own.get(language) or default.get(language) or fallback for language in LANGUAGES}


def _default_label(key: str) -> Mapping[str, str]:
    item = _BY_KEY.get(key)
    return GROUPS.get(key, {}) if item is None else {"en": item.en, "zh": item.zh}


def _copied(entry: Entry) -> dict[str, Any]:
    return {**entry, "children": [dict(each) for each in entry["children"]]} if "children" in entry else dict(entry)
