"""What a form sends: all of what was there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from console.conftest import Console, Window

Open = Callable[..., Window]


def customer_at_a_level(console: Console, name: str) -> dict[str, Any]:
    """Make a level and a customer of it."""
    level = console.admin.post("/v1/levels", {"name": f"Level of {name}", "discount_percent": "80"})
    made = console.admin.post("/v1/customers", {"name": name, "level_id": level.body["id"]})
    assert made.status == 201, made.body
    found: dict[str, Any] = made.body
    return found


def change_the_mobile(page: Page, mobile: str) -> None:
    """Edit the customer of the page."""
    page.click("[data-open=editor]")
    page.fill("#editor [name=mobile]", mobile)
    page.click("#editor [type=submit]")
    expect(page.locator("#facts")).to_contain_text(mobile)


def test_a_level_that_one_may_not_see_stays_when_the_mobile_is_changed(console: Console, window: Open) -> None:
    customer = customer_at_a_level(console, "关羽")
    role = {"name": "registrar", "permissions": ["customers.read", "customers.write", "transactions.read"]}
    assert console.admin.post("/v1/roles", role).status == 201
    console.user("registrar", "registrar")
    person = window()
    page = person.log_in("registrar")
    person.go("/customers")
    page.fill("[name=name__contains]", "关羽")
    page.click("tbody a >> text=关羽")
    expect(page.locator("#facts")).to_contain_text(customer["level_id"])

    change_the_mobile(page, "+8613700137010")

    changed = console.admin.get(f"/v1/customers/{customer['id']}").body
    assert (changed["level_id"], changed["mobile"]) == (customer["level_id"], "+8613700137010")


def test_a_level_stays_when_the_levels_could_not_be_read(console: Console, window: Open) -> None:
    customer = customer_at_a_level(console, "张飞")
    person = window()
    page = person.log_in("operator")
    page.route("**/v1/levels?*", lambda route: route.abort())
    person.go(f"/customers/{customer['id']}")

    change_the_mobile(page, "+8613700137011")

    assert console.admin.get(f"/v1/customers/{customer['id']}").body["level_id"] == customer["level_id"]
    # Whoever means it takes the level away.
    page.click("[data-open=editor]")
    page.select_option("#editor [name=level_id]", value="")
    page.click("#editor [type=submit]")
    expect(page.locator("#editor")).to_be_hidden()
    assert console.admin.get(f"/v1/customers/{customer['id']}").body["level_id"] is None
