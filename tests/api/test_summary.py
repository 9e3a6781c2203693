"""The summary says what the accounts hold, held at the end of each day, and what happened today, each currency by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ledger.clock import now_us, rfc3339
from till import Till, new_key


def test_the_summary_adds_up_money_and_what_happened(till: Till) -> None:
    till.recharge("120.00")
    till.deduct("5.50")
    till.place(100)
    yen = till.front.create("customers", currency="JPY")["id"]
    till.front.ask("POST", f"customers/{yen}/recharges", {"amount": "700"}, Idempotency_Key=new_key())
    till.drain()

    found = till.get("summary").json

    money = [
        {"currency": "CNY", "available": "105.50", "held": "9.00"},
        {"currency": "JPY", "available": "700", "held": "0"},
    ]
    assert found["money"] == money
    assert [each["money"] for each in found["days"]] == [money]
    assert [(each["type"], each["currency"], each["events"], each["amount"]) for each in found["happened"]] == [
        ("deduction.posted", "CNY", 1, "5.50"),
        ("order.placed", "CNY", 1, "9.00"),
        ("recharge.posted", "CNY", 1, "120.00"),
        ("recharge.posted", "JPY", 1, "700"),
    ]


def test_the_days_are_those_of_the_time_zone_and_end_at_its_midnights(sqlite_till: Till) -> None:
    sqlite_till.recharge("1.00")
    sqlite_till.drain()

    found = sqlite_till.get("summary?days=30&time_zone=Asia/Shanghai").json

    shanghai = datetime.fromtimestamp(now_us() / 1_000_000, UTC).timestamp() + 8 * 3_600
    assert found["days"][-1]["date"] == datetime.fromtimestamp(shanghai, UTC).date().isoformat()
    assert len(found["days"]) == 30
    assert {each["ends_at"][10:] for each in found["days"][:-1]} == {"T16:00:00.000000Z"}
    assert found["since"] == found["days"][-2]["ends_at"] <= rfc3339(now_us())
    assert found["days"][-2]["money"] == [{"currency": "CNY", "available": "0.00", "held": "0.00"}]
    assert found["days"][-1]["money"] == [{"currency": "CNY", "available": "1.00", "held": "0.00"}]


@pytest.mark.parametrize("query", ["time_zone=Nowhere/City", "time_zone=..%2fUTC", "days=0", "days=93", "since=now"])
def test_odd_questions_are_refused(sqlite_till: Till, query: str) -> None:
    assert sqlite_till.get(f"summary?{query}").status_code == 422


def test_a_ledger_without_transactions_has_an_empty_summary_that_a_customer_does_not_see(sqlite_till: Till) -> None:
    sqlite_till.drain()
    found = sqlite_till.get("summary?days=2").json

    assert (found["money"], found["happened"], [each["money"] for each in found["days"]]) == ([], [], [[], []])
    assert sqlite_till.as_customer("balances.read").ask("GET", "summary").status_code == 403
