"""An amount is stored exactly as it was sent, or refused with its place; never anything in between (I12)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from money_corpus import VALUES, is_same_number
from till import Till, new_key

REFUSALS = {"invalid-fields", "balance-limit", "malformed"}


def post(till: Till, path: str, body: Any) -> Any:
    return till.front.app.test_client().post(
        f"/v1/{path}",
        data=json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {till.front.secret}", "Idempotency-Key": new_key()},
    )


@pytest.mark.parametrize("currency", ["CNY", "JPY", "KWD", "CLF"])
def test_what_is_recharged_is_what_was_sent_or_nothing(sqlite_till: Till, currency: str) -> None:
    customer_id = sqlite_till.front.create("customers", currency=currency)["id"]
    total = Decimal(0)

    for value in VALUES:
        answer = post(sqlite_till, f"customers/{customer_id}/recharges", {"amount": value})

        if answer.status_code == 201:
            assert is_same_number(value, answer.json["amount"]), value
            total += Decimal(value)
            assert Decimal(answer.json["balance"]["total"]) == total
        else:
            assert answer.status_code in (400, 409, 422), (value, answer.text)
            assert answer.json["code"] in REFUSALS
            assert "minor" not in answer.text
    stored = sqlite_till.get(f"customers/{customer_id}/balance").json["total"]
    assert Decimal(stored) == total
    assert total > 0


def test_what_is_deducted_is_what_was_sent_or_nothing(sqlite_till: Till) -> None:
    sqlite_till.recharge("9999999999999.99")
    total = Decimal("9999999999999.99")

    for value in VALUES:
        answer = post(sqlite_till, f"customers/{sqlite_till.customer_id}/deductions", {"amount": value})

        if answer.status_code == 201:
            assert is_same_number(value, answer.json["amount"]), value
            total -= Decimal(value)
        else:
            assert answer.json["code"] in {*REFUSALS, "insufficient-funds"}, value
    assert Decimal(sqlite_till.balance()[2]) == total


def test_a_batch_takes_the_same_amounts_as_single_commands(sqlite_till: Till) -> None:
    other = sqlite_till.front.create("customers")["id"]
    single = [post(sqlite_till, f"customers/{other}/recharges", {"amount": value}).status_code for value in VALUES]
    common = {"type": "recharge", "customer_id": sqlite_till.customer_id}
    commands = [common | {"idempotency_key": new_key(), "amount": value} for value in VALUES]

    results = post(sqlite_till, "batches", {"commands": commands}).json["results"]

    assert [each["status"] for each in results] == single


def test_bounds_of_a_search_are_exact_or_refused(sqlite_till: Till) -> None:
    sqlite_till.drain()
    for value in VALUES:
        if isinstance(value, str) and value.isprintable() and len(value) < 100:
            answer = sqlite_till.front.ask("GET", "orders", query={"amount_min": value, "limit": "1"})
            assert answer.status_code in (200, 422), value
