"""The page of an event shows its amounts as the ledger means them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from console.conftest import Console, Window

Open = Callable[..., Window]


@pytest.mark.parametrize(("currency", "amount"), [("IQD", "1.250"), ("CNY", "0.05")])
def test_an_amount_has_as_many_decimals_as_the_ledger_has(
    console: Console, window: Open, currency: str, amount: str
) -> None:
    content = {"name": f"Of {currency}", "currency": currency}
    customer_id = console.admin.post("/v1/customers", content).body["id"]
    recharged = console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": amount})
    assert recharged.status == 201, recharged.body
    person = window()
    page = person.log_in("auditor")

    person.go(f"/events/{recharged.body['position']}")

    shown = f"{amount} {currency}"
    expect(page.locator("#postings")).to_contain_text(f"−{shown}")
    expect(page.locator("#facts")).to_contain_text(shown)
