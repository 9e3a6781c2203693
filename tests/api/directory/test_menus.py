"""A role's menu over HTTP: set, felt at once, edited whole, back to the default."""

from __future__ import annotations

from typing import Any

import pytest

from directory_front import Front


def me(front: Front, role: str) -> list[Any]:
    key = front.create("api-keys", role=role)["key"]
    menus = Front(front.app, front.services, key).ask("GET", "me").json["menus"]
    return [
        [each["key"], [inner["key"] for inner in each["children"]]] if each["children"] else each["key"]
        for each in menus
    ]


def test_a_roles_menu_is_changed_with_it_and_felt_at_once(front: Front) -> None:
    role = front.create("roles", permissions=["orders.read", "levels.read"])
    assert me(front, role["name"]) == ["orders", ["catalogue", ["levels"]], "account"]
    menu = [
        {"key": "levels", "label": {"zh": "会员等级"}},
        {"key": "sales", "label": {"en": "Sales", "zh": "销售"}, "children": [{"key": "orders"}]},
        {"key": "account", "hidden": True},
    ]

    changed = front.ask("PATCH", f"roles/{role['id']}", {"menu": menu}, If_Match='"1"')

    assert (changed.status_code, changed.json["menu"], changed.json["revision"]) == (200, menu, 2)
    assert me(front, role["name"]) == ["levels", ["sales", ["orders"]]]
    whole = front.ask("GET", f"roles/{role['id']}/menu").json
    assert (whole["role"], whole["revision"], whole["is_default"]) == ("cashier", 2, False)
    assert [(each["key"], each["hidden"]) for each in whole["menu"][:3]] == [
        ("levels", False),
        ("sales", False),
        ("account", True),
    ]
    assert {each["key"]: each["label"] for each in whole["menu"]}["levels"] == {"en": "Levels", "zh": "会员等级"}
    front.ask("PATCH", f"roles/{role['id']}", {"menu": None})
    assert me(front, role["name"]) == ["orders", ["catalogue", ["levels"]], "account"]


def test_a_role_is_created_with_a_menu_and_admins_may_have_one(front: Front) -> None:
    role = front.create("roles", menu=[{"key": "account"}])
    assert front.read("roles", role["id"])["menu"] == [{"key": "account"}]
    (admin,) = front.list("roles", name="admin")

    answer = front.ask("PATCH", f"roles/{admin['id']}", {"menu": [{"key": "doctor"}]})

    assert answer.status_code == 200
    assert me(front, "admin")[0] == "doctor"


@pytest.mark.parametrize(
    ("menu", "pointer"),
    [
        ([{"key": "nowhere"}], "/menu/0/label"),
        ([{"key": "books", "children": [{"key": "nowhere"}]}], "/menu/0/children/0/key"),
        ([{"key": "orders", "label": {"en": "x" * 41}}], "/menu/0/label/en"),
        ([{"key": "orders", "label": {"fr": "x"}}], "/menu/0/label/fr"),
        ([{"key": "orders", "hidden": "yes"}], "/menu/0/hidden"),
        ([{"label": {"en": "x"}}], "/menu/0/key"),
        ([{"key": "books", "children": [{"key": "mine", "children": []}]}], "/menu/0/children/0/children"),
        ("orders", "/menu"),
        ([{"key": "orders"}] * 101, "/menu"),
    ],
)
def test_a_menu_that_makes_no_sense_is_refused_and_changes_nothing(front: Front, menu: Any, pointer: str) -> None:
    role = front.create("roles")

    answer = front.ask("PATCH", f"roles/{role['id']}", {"menu": menu})

    assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields")
    assert pointer in [each["pointer"] for each in answer.json["errors"]]
    assert front.read("roles", role["id"]) == role


def test_whoever_may_not_change_roles_changes_no_menu(front: Front) -> None:
    role = front.create("roles", permissions=["roles.read"])
    key = front.create("api-keys", role=role["name"])["key"]
    reader = Front(front.app, front.services, key)

    assert reader.ask("PATCH", f"roles/{role['id']}", {"menu": []}).status_code == 403
    assert reader.ask("GET", f"roles/{role['id']}/menu").status_code == 200
    assert reader.ask("GET", "roles/rol_none/menu").status_code == 404
