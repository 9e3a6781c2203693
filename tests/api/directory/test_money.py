"""Amounts, prices and percentages: stored exactly as they were sent, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from directory_front import Front
from money_corpus import VALUES, is_same_number


def every_value(front: Front, path: str, pointer: str, content: Any, stored: Any) -> int:
    """Change one object to every value of the corpus and return how many were taken."""
    made = front.create(path)
    location, taken = f"{path}/{made['id']}", 0
    for value in VALUES:
        before = front.read(path, made["id"])
        answer = front.ask("PATCH", location, content(value))
        after = front.read(path, made["id"])
        if answer.status_code == 200:
            taken += 1
            assert answer.json == after and is_same_number(value, stored(after)), value
        else:
            assert answer.status_code == 422 and after == before, value
            assert [each["pointer"] for each in answer.json["errors"]] == [pointer], (value, answer.text)
    return taken


CASES: dict[str, tuple[str, str, Any, Any]] = {
    "credit_limit": (
        "customers",
        "/credit_limit",
        lambda value: {"credit_limit": value},
        lambda shown: shown["credit_limit"],
    ),
    "discount_percent": (
        "levels",
        "/discount_percent",
        lambda value: {"discount_percent": value},
        lambda shown: shown["discount_percent"],
    ),
    "unit_price": (
        "products",
        "/unit_price",
        lambda value: {"unit_price": value},
        lambda shown: shown["unit_price"],
    ),
    "tier": (
        "products",
        "/tiers/0/unit_price",
        lambda value: {"tiers": [{"from_quantity": 2, "unit_price": value}]},
        lambda shown: shown["tiers"][0]["unit_price"],
    ),
}
"""Path, pointer, a change to a value, and the value as it is shown."""


@pytest.mark.parametrize("field", sorted(CASES))
def test_money_is_stored_exactly_or_refused(sqlite_front, field: str) -> None:  # type: ignore[no-untyped-def]
    path, pointer, content, stored = CASES[field]

    taken = every_value(sqlite_front, path, pointer, content, stored)

    assert len(VALUES) >= 300 and 10 <= taken <= len(VALUES) // 2


def test_a_threshold_is_stored_exactly_refused_or_taken_away(sqlite_front) -> None:  # type: ignore[no-untyped-def]
    made, taken = sqlite_front.create("customers"), 0
    assert made["low_balance_threshold"] is None

    for value in VALUES:
        answer = sqlite_front.ask("PATCH", f"customers/{made['id']}", {"low_balance_threshold": value})
        if answer.status_code == 200:
            stored = sqlite_front.read("customers", made["id"])["low_balance_threshold"]
            assert stored is None if value is None else is_same_number(value, stored), value
            taken += 1
        else:
            assert [each["pointer"] for each in answer.json["errors"]] == ["/low_balance_threshold"], value

    assert 10 <= taken <= len(VALUES) // 2


def test_prices_at_the_edges_are_stored_exactly_on_every_engine(front) -> None:  # type: ignore[no-untyped-def]
    for number, price in enumerate(("0.000001", "999999999999.999999", "1.10", "123456789012.000001")):
        made = front.create("products", sku=f"p{number}", unit_price=price)
        assert is_same_number(price, front.read("products", made["id"])["unit_price"])
    for currency, limit in (("CNY", "999999999999.99"), ("JPY", "99999999999999"), ("KWD", "0.001"), ("CLF", "0.0001")):
        made = front.create("customers", currency=currency, credit_limit=limit)
        assert made["credit_limit"] == limit == front.read("customers", made["id"])["credit_limit"]


@pytest.mark.parametrize("field", ["credit_limit", "low_balance_threshold"])
def test_a_limit_that_is_too_high_is_refused_where_it_stands(sqlite_front, field: str) -> None:  # type: ignore[no-untyped-def]
    fits, too_high = (
        {"name": "Ann", "currency": "CNY", field: f"{digits}.99"} for digits in ("9" * 12, "1" + "0" * 12)
    )

    alone = sqlite_front.ask("POST", "customers", too_high)
    second = sqlite_front.ask("POST", "customers/bulk", [fits, too_high])

    assert (alone.status_code, second.status_code) == (422, 422)
    assert [each["pointer"] for each in alone.json["errors"]] == [f"/{field}"]
    assert [each["pointer"] for each in second.json["errors"]] == [f"/1/{field}"]
    assert sqlite_front.list("customers") == []
