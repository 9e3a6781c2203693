"""What a client does on its first day: money in, an order, its cancellation, and looking at it all afterwards."""

from __future__ import annotations

import pytest

from ledger.clock import now_us, rfc3339
from till import Till


def test_a_recharge_answers_the_frame_of_the_contract(till: Till) -> None:
    answer = till.recharge("100.00", reference="INV-1", memo="cash")

    body = answer.json
    assert answer.status_code == 201
    assert answer.headers["Ledger-Position"] == str(body["position"])
    assert "Idempotent-Replayed" not in answer.headers
    recorded_at = body.pop("recorded_at")
    assert recorded_at.endswith("Z")
    assert len(recorded_at) == len("2026-11-22T10:00:00.000001Z")
    position = body["position"]
    assert body == {
        "position": position,
        "type": "recharge.posted",
        "customer_id": till.customer_id,
        "amount": "100.00",
        "currency": "CNY",
        "reference": "INV-1",
        "memo": "cash",
        "balance": {
            "available": "100.00",
            "held": "0.00",
            "total": "100.00",
            "currency": "CNY",
            "version": 2,
            "position": position,
        },
    }


def test_an_order_holds_its_price_at_the_customers_percentage(till: Till) -> None:
    till.recharge("100.00")

    answer = till.place(100, params={"text": "你好"}, reference="PO-7")

    assert answer.status_code == 201
    body = answer.json
    assert body["type"] == "order.placed"
    assert body["amount"] == "9.00"
    assert body["balance"]["available"] == "91.00"
    assert body["balance"]["held"] == "9.00"
    order = body["order"]
    assert order["id"].startswith("ord_")
    wanted = {
        "status": "placed",
        "product": "sms",
        "quantity": 100,
        "unit_price": "0.10",
        "list_amount": "10.00",
        "discount_percent": "90",
        "amount": "9.00",
        "reference": "PO-7",
    }
    assert {name: order[name] for name in wanted} == wanted


def test_a_cancelled_order_gives_the_money_back(till: Till) -> None:
    till.recharge("100.00")
    order_id = till.place(100).json["order"]["id"]

    answer = till.post(f"orders/{order_id}/cancellation", {"reason": "changed my mind"})
    again = till.post(f"orders/{order_id}/cancellation")

    assert answer.status_code == 201
    assert answer.json["type"] == "order.cancelled"
    assert answer.json["order"]["status"] == "cancelled"
    assert till.balance() == ("100.00", "0.00", "100.00")
    assert again.status_code == 409
    assert again.json["code"] == "order-not-cancellable"


def test_an_order_is_read_with_its_events_and_params(till: Till) -> None:
    till.recharge()
    order_id = till.place(10, params={"to": "138"}).json["order"]["id"]
    till.post(f"orders/{order_id}/cancellation")

    answer = till.get(f"orders/{order_id}")

    assert answer.json["params"] == {"to": "138"}
    assert [each["type"] for each in answer.json["events"]] == ["order.placed", "order.cancelled"]


def test_a_recharge_is_reversed_once(till: Till) -> None:
    position = till.recharge("100.00").json["position"]

    answer = till.post(f"transactions/{position}/reversal", {"reason": "wrong customer"})
    again = till.post(f"transactions/{position}/reversal", {"reason": "wrong customer"})

    assert answer.status_code == 201
    assert answer.json["balance"]["total"] == "0.00"
    assert answer.json["reason"] == "wrong customer"
    assert (again.status_code, again.json["code"]) == (409, "already-reversed")


def test_an_order_beyond_the_money_is_refused_in_decimal_text(till: Till) -> None:
    till.recharge("8.99")

    answer = till.place(100)

    assert answer.status_code == 409
    assert answer.json["code"] == "insufficient-funds"
    assert (answer.json["needed"], answer.json["spendable"]) == ("9.00", "8.99")
    assert "minor" not in answer.text


def test_a_dry_run_answers_what_would_be_and_records_nothing(till: Till) -> None:
    head = till.recharge("100.00").json["position"]

    tried = till.post(
        "orders", {"customer_id": till.customer_id, "product": "sms", "quantity": 100}, key="once", dry_run=True
    )
    refused = till.post(f"customers/{till.customer_id}/deductions", {"amount": "100.01"}, dry_run=True)
    placed = till.place(100, key="once")

    assert tried.status_code == 200
    assert tried.json["balance"]["available"] == "91.00"
    assert refused.json["code"] == "insufficient-funds"
    assert placed.status_code == 201
    assert placed.json["position"] == head + 1


def test_a_statement_runs_from_opening_to_closing_balance(till: Till) -> None:
    till.recharge("100.00", reference="=SUM(A1)")
    till.deduct("0.01")

    shown = till.get(f"customers/{till.customer_id}/statement").json
    csv = till.get(f"customers/{till.customer_id}/statement?format=csv").text

    assert (shown["opening"], shown["closing"]) == ("0.00", "99.99")
    assert [line["total"] for line in shown["lines"]] == ["100.00", "99.99"]
    kinds = [line.split(",")[2] for line in csv.splitlines()]
    assert kinds == ["type", "opening", "recharge.posted", "deduction.posted", "closing"]
    assert csv.splitlines()[-1].endswith(",99.99,0.00,99.99,")
    assert "'=SUM(A1)" in csv
    assert ",=SUM" not in csv


def test_a_statement_without_an_end_has_what_a_host_whose_clock_is_ahead_recorded(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead_us = now_us() + 3_600_000_000
    with monkeypatch.context() as other_host:
        other_host.setattr("ledger.append.committer.now_us", lambda: ahead_us)
        recharge = till.recharge("100.00").json

    answer = till.get(f"customers/{till.customer_id}/statement")

    assert answer.headers["Ledger-Position"] == str(recharge["position"])
    assert [line["position"] for line in answer.json["lines"]] == [recharge["position"]]
    assert (answer.json["closing"], answer.json["to"]) == ("100.00", rfc3339(ahead_us))


def test_the_trial_balance_sums_to_zero_at_every_position(till: Till) -> None:
    till.recharge("100.00")
    head = till.place(100).json["position"]

    for position in range(1, head + 1):
        assert set(till.get(f"trial-balance?at_position={position}").json["sums"].values()) <= {"0.00"}
    accounts = {each["account"]: each["amount"] for each in till.get("trial-balance").json["accounts"]}
    assert accounts[f"customer:{till.customer_id}:available"] == "91.00"
    assert accounts["platform:funding"] == "-100.00"


def test_the_past_is_read_at_a_position_and_at_a_time(till: Till) -> None:
    first = till.recharge("1.00").json
    till.recharge("2.00")
    path = f"customers/{till.customer_id}/balance"

    assert till.get(f"{path}?at_position={first['position']}").json["total"] == "1.00"
    assert till.get(f"{path}?as_of={first['recorded_at']}").json["total"] == "1.00"
    assert till.get(path).json["total"] == "3.00"


def test_orders_and_transactions_are_found_once_the_read_models_have_them(till: Till) -> None:
    till.recharge("100.00")
    placed = till.place(100, reference="PO-7").json
    till.drain()

    orders = till.get("orders?reference=PO-7").json["data"]
    transactions = till.get(f"transactions?customer_id={till.customer_id}").json["data"]

    assert [each["id"] for each in orders] == [placed["order"]["id"]]
    assert [each["type"] for each in transactions] == ["order.placed", "recharge.posted"]
    assert transactions[0]["balance"]["available"] == "91.00"
    assert till.get("orders?customer_name=" + "王").json["data"] == orders
