"""The summary says what the accounts hold and what happened since, each currency by itself."""

from __future__ import annotations

from ledger.clock import now_us, rfc3339
from till import Till, new_key


def test_the_summary_adds_up_money_and_what_happened(till: Till) -> None:
    till.recharge("100.00")
    before = rfc3339(now_us())
    till.recharge("20.00")
    till.deduct("5.50")
    till.place(100)
    yen = till.front.create("customers", currency="JPY")["id"]
    till.front.ask("POST", f"customers/{yen}/recharges", {"amount": "700"}, Idempotency_Key=new_key())

    found = till.get("summary").json
    later = till.get(f"summary?since={before}").json

    assert found["money"] == [
        {"currency": "CNY", "accounts": 1, "available": "105.50", "held": "9.00"},
        {"currency": "JPY", "accounts": 1, "available": "700", "held": "0"},
    ]
    happened = {(each["type"], each["currency"]): (each["events"], each["amount"]) for each in later["happened"]}
    assert happened[("recharge.posted", "CNY")] == (1, "20.00")
    assert happened[("recharge.posted", "JPY")] == (1, "700")
    assert happened[("deduction.posted", "CNY")] == (1, "5.50")
    assert happened[("order.placed", "CNY")] == (1, "9.00")
    assert ("recharge.posted", "CNY", 2, "120.00") in {
        (each["type"], each["currency"], each["events"], each["amount"]) for each in found["happened"]
    }


def test_an_empty_ledger_has_an_empty_summary_and_bad_times_are_refused(till: Till) -> None:
    assert till.get("summary?since=yesterday").status_code == 422
    assert till.get("summary?since=2001-01-01T00:00:00Z").status_code == 200
    assert till.as_customer("balances.read").ask("GET", "summary").status_code == 403
