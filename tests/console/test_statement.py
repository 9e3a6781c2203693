"""The span that a statement is asked for, and whose it is; and whose past balances are."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from console.conftest import Console, Window
from ledger.clock import parse_rfc3339

Open = Callable[..., Window]
HOUR_US = 3_600_000_000
LOOK_MS = 30


def customer(console: Console, name: str, amount: str) -> str:
    """Make a customer that was recharged once, and return its id."""
    customer_id: str = console.admin.post("/v1/customers", {"name": name}).body["id"]
    assert console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": amount}).status == 201
    return customer_id


def choose(page: Page, name: str) -> None:
    """Choose a customer from the list."""
    page.fill("[role=combobox]", name)
    page.click("[role=option]")


def opened_with_its_answer_held(person: Window, path: str, customer_id: str) -> Route:
    """Open a page of the customer, whose statement does not come before the returned route is let."""
    held: list[Route] = []
    person.page.route(re.compile(f"/v1/customers/{customer_id}/statement"), lambda route: held.append(route))
    person.page.goto(f"{person.address}{path}?customer_id={customer_id}")
    while not held:
        person.page.wait_for_timeout(LOOK_MS)
    return held[0]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-11-02", 24)])
def test_a_day_on_which_clocks_are_changed_is_asked_for_as_a_whole(
    console: Console, window: Open, day: str, hours: int
) -> None:
    customer = console.admin.post("/v1/customers", {"name": "夏侯惇"}).body
    person = window(time_zone="America/New_York")
    page = person.log_in("auditor")

    with page.expect_request("**/v1/customers/*/statement?*") as asked:
        person.go(f"/customers/{customer['id']}/statement?from={day}&to={day}")

    query = parse_qs(urlsplit(asked.value.url).query)
    begin_us, end_us = (parse_rfc3339(query[name][0]) for name in ("from", "to"))
    # The last microsecond is in it, the next day's first is not.
    assert end_us - begin_us == hours * HOUR_US - 1


def test_a_late_statement_is_not_shown_under_another_customers_name(console: Console, window: Open) -> None:
    late, chosen = customer(console, "Late Statement", "11.11"), customer(console, "Chosen Statement", "22.22")
    person = window()
    page = person.log_in("auditor")
    held = opened_with_its_answer_held(person, "/statement", late)
    choose(page, "Chosen Statement")
    expect(page.locator("#lines tbody")).to_contain_text("22.22 CNY")

    held.continue_()
    person.settle()

    expect(page.locator("#lines tbody")).not_to_contain_text("11.11 CNY")
    expect(page.locator("#lines tbody")).to_contain_text("22.22 CNY")
    expect(page.locator("#facts")).to_contain_text("22.22 CNY")
    assert chosen in str(page.locator("#csv").get_attribute("href"))


def test_a_late_curve_is_not_shown_under_another_customers_name(console: Console, window: Open) -> None:
    late = customer(console, "Late Curve", "11.11")
    customer(console, "Chosen Curve", "22.22")
    person = window()
    page = person.log_in("auditor")
    held = opened_with_its_answer_held(person, "/balances", late)
    choose(page, "Chosen Curve")
    expect(page.locator("#balance")).to_contain_text("22.22 CNY")

    held.continue_()
    person.settle()

    expect(page.locator("#curve .legend")).to_contain_text("22.22 CNY")
    expect(page.locator("#curve .legend")).not_to_contain_text("11.11 CNY")
    expect(page.locator("#balance")).to_contain_text("22.22 CNY")
