"""A role's menu: the default tree, a tree of its own, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.directory.errors import BadField
from ledger.directory.menus import GROUPS, ITEMS, arranged, checked, menu_of
from ledger.directory.permissions import PERMISSIONS, ROLES

KEYS = [each.key for each in ITEMS]


def keys(menu: list[dict[str, Any]]) -> list[Any]:
    return [
        [each["key"], [inner["key"] for inner in each["children"]]] if each["children"] else each["key"]
        for each in menu
    ]


def test_by_default_a_menu_is_what_the_permissions_open() -> None:
    assert keys(menu_of(ROLES["auditor"], is_customer=False)) == [
        "dashboard", "customers", "orders", "transactions",
        ["catalogue", ["levels"]], ["books", ["events", "balances", "trial-balance", "proofs", "what-if"]],
        ["administration", ["roles"]], "account",
    ]  # fmt: skip
    assert keys(menu_of(ROLES["customer"], is_customer=True)) == [
        "home", "place", "my-orders", "my-transactions", "my-statement", "account",
    ]  # fmt: skip


def test_an_own_tree_orders_renames_and_hides_and_what_it_does_not_name_comes_after() -> None:
    own = checked(
        [
            {
                "key": "money",
                "label": {"en": "Money", "zh": "钱"},
                "children": [{"key": "transactions"}, {"key": "events"}],
            },
            {"key": "orders", "label": {"en": None, "zh": "买卖"}},
            {"key": "dashboard", "hidden": True},
        ]
    )

    menu = menu_of(ROLES["auditor"], is_customer=False, own=own)

    assert keys(menu) == [
        ["money", ["transactions", "events"]], "orders", "customers", ["catalogue", ["levels"]],
        ["books", ["balances", "trial-balance", "proofs", "what-if"]], ["administration", ["roles"]], "account",
    ]  # fmt: skip
    assert menu[0]["label"] == {"en": "Money", "zh": "钱"}
    assert menu[1]["label"] == {"en": "Orders", "zh": "买卖"}


def test_a_menu_gives_nobody_a_page_that_the_role_does_not_permit() -> None:
    own = checked([{"key": "users"}, {"key": "place"}, {"key": "books", "children": [{"key": "doctor"}]}])

    assert keys(menu_of({"levels.read"}, is_customer=False, own=own)) == [["catalogue", ["levels"]], "account"]


@pytest.mark.parametrize(
    ("entries", "pointer"),
    [
        ([{"key": "orders"}, {"key": "orders"}], "/menu/1/key"),
        ([{"key": "mine"}], "/menu/0/label"),
        ([{"key": "Mine!", "label": {"en": "x"}}], "/menu/0/key"),
        ([{"key": "orders", "children": [{"key": "levels"}]}], "/menu/0/children"),
        ([{"key": "books", "children": [{"key": "catalogue"}]}], "/menu/0/children/0/key"),
        ([{"key": "books", "children": [{"key": "events"}, {"key": "events"}]}], "/menu/0/children/1/key"),
        ([{"key": f"g{number}", "label": {"en": "x"}, "children": []} for number in range(101)], "/menu"),
    ],
)
def test_a_tree_that_makes_no_sense_is_refused_where_it_does_not(entries: list[Any], pointer: str) -> None:
    with pytest.raises(BadField) as raised:
        checked(entries)

    assert raised.value.pointer == pointer


@given(
    st.lists(st.sampled_from(KEYS), unique=True),
    st.lists(st.sampled_from([*GROUPS, "mine"]), unique=True),
    st.randoms(use_true_random=False),
)
def test_every_page_is_in_every_tree_exactly_once(pages: list[str], groups: list[str], chance: Any) -> None:
    tree: list[dict[str, Any]] = [{"key": key, "label": {"en": "x"}, "children": []} for key in groups]
    for key in pages:
        chance.choice([*(each["children"] for each in tree[: len(groups)]), tree]).append({"key": key})

    found = arranged(checked(tree))

    shown = [
        key
        for entry in found
        for key in ([each["key"] for each in entry["children"]] if "children" in entry else [entry["key"]])
    ]
    assert sorted(shown) == sorted(KEYS)
    assert len({each["key"] for each in found}) == len(found)
    everything = menu_of(PERMISSIONS, is_customer=False, own=tree) + menu_of(PERMISSIONS, is_customer=True, own=tree)
    assert {page["key"] for each in everything for page in (each["children"] or [each])} == set(KEYS)
