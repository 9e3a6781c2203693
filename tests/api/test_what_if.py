"""What other prices would have changed, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from till import Till


def asked(till: Till, status: int = 200, **body: Any) -> Any:
    answer = till.front.ask("POST", "what-if", body)
    assert answer.status_code == status, answer.text
    return answer.json


def level_of(till: Till) -> str:
    level_id: str = till.front.read("customers", till.customer_id)["level_id"]
    return level_id


def test_a_percentage_a_level_and_a_price_are_worked_out_for_each_customer_and_in_sum(till: Till) -> None:
    till.recharge("100.00")
    till.place(100)  # 100 × 0.10 × 90 % = 9.00
    till.place(55)  # 4.95
    other = till.front.create("customers", name="Nobody's level")["id"]
    till.post(f"customers/{other}/recharges", {"amount": "5.00"})
    till.post("orders", {"customer_id": other, "product": "sms", "quantity": 10})  # 1.00
    head = till.get("trial-balance").json["position"]

    found = asked(till, discounts=[{"from_percent": "90.0", "to_percent": "80"}])

    # 8.00 and 4.40
    effect = {
        "currency": "CNY", "orders": 2, "placed": "13.95", "placed_if": "12.40", "placed_difference": "-1.55",
        "captured": "0.00", "captured_if": "0.00", "captured_difference": "0.00", "held": "13.95", "held_if": "12.40",
        "held_difference": "-1.55", "available_difference": "1.55", "refused": 0, "short": 0, "short_position": None,
    }  # fmt: skip
    assert found == {
        "position": head, "from": 1, "to": head, "customers_count": 1,
        "customers": [{"customer_id": till.customer_id, "customer_name": "王芳", **effect}], "sums": [effect],
    }  # fmt: skip
    assert asked(till, levels=[{"level_id": level_of(till), "discount_percent": "80"}]) == found
    prices = [{"product": "sms", "unit_price": "0.20"}, {"product": "sms", "unit_price": "0.05", "from_quantity": 100}]
    priced = asked(till, prices=prices)
    # 100 × 0.05 × 90 % = 4.50 and 55 × 0.20 × 90 % = 9.90; 10 × 0.20 = 2.00. Whom it concerns most comes first.
    assert [(each["customer_id"], each["held_if"]) for each in priced["customers"]] == [
        (other, "2.00"),
        (till.customer_id, "14.40"),
    ]
    assert [each["held_if"] for each in priced["sums"]] == ["16.40"]
    assert till.get("trial-balance").json["position"] == head


def test_only_orders_of_the_range_are_repriced_by_position_or_by_time(till: Till) -> None:
    till.recharge("100.00")
    first, second = (till.place(100).json for _ in range(2))
    discounts = [{"from_percent": "90", "to_percent": "45"}]

    for place in (second["position"], second["recorded_at"]):
        late = asked(till, discounts=discounts, **{"from": place})
        assert (late["from"], [each["orders"] for each in late["sums"]]) == (second["position"], [1])
        both = asked(till, discounts=discounts, to=place)
        assert (both["to"], [each["orders"] for each in both["sums"]]) == (second["position"], [2])
    early = asked(till, discounts=discounts, to=first["position"], customer_id=till.customer_id)
    assert [each["held_difference"] for each in early["customers"]] == ["-4.50"]
    assert asked(till, discounts=discounts, **{"from": second["position"] + 1})["sums"] == []


def test_whoever_could_not_have_paid_is_told(till: Till) -> None:
    till.recharge("10.00")
    placed = till.place(100).json

    (found,) = asked(till, prices=[{"product": "sms", "unit_price": "0.12"}])["customers"]

    assert (found["short"], found["short_position"], found["held_if"]) == (1, placed["position"], "10.80")


def test_more_than_one_request_can_wait_for_is_refused_with_a_way_out(till: Till) -> None:
    till.recharge("10.00")
    position = till.place(1).json["position"]
    services = till.front.services
    services.settings = replace(services.settings, what_if_events_max=2)
    discounts = [{"from_percent": "90", "to_percent": "80"}]

    refused = asked(till, 422, discounts=discounts)

    assert refused["code"] == "too-many-events"
    assert refused["detail"].startswith(f"{position} events would be read, 2 are the limit")
    assert "orderledger audit what-if" in refused["detail"]
    assert [each["orders"] for each in asked(till, discounts=discounts, **{"from": position})["sums"]] == [1]


def test_one_is_worked_out_at_a_time(sqlite_till: Till) -> None:
    services = sqlite_till.front.services
    body = {"discounts": [{"from_percent": "90", "to_percent": "80"}]}
    client = sqlite_till.front.app.test_client()
    headers = {"Authorization": f"Bearer {sqlite_till.front.secret}"}

    with services.replays:
        busy = client.post("/v1/what-if", json=body, headers=headers)

    assert (busy.status_code, busy.json["code"]) == (503, "unavailable")
    assert client.post("/v1/what-if", json=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/discounts"),
        ({"discounts": [{"from_percent": "90", "to_percent": "0"}]}, "/discounts/0/to_percent"),
        ({"discounts": [{"from_percent": "90"}]}, "/discounts/0/to_percent"),
        ({"discounts": [{"from_percent": each, "to_percent": "1"} for each in ("90", "90.0")]}, "/discounts"),
        ({"levels": [{"level_id": "a b", "discount_percent": "1"}]}, "/levels/0/level_id"),
        ({"prices": [{"product": "sms", "unit_price": "0"}]}, "/prices/0/unit_price"),
        ({"prices": [{"product": "sms", "unit_price": "1", "from_quantity": 0}]}, "/prices/0/from_quantity"),
        ({"prices": [{"product": "sms", "unit_price": "1"}] * 2}, "/prices"),
        ({"prices": [{"product": "sms", "unit_price": "1"}], "from": "yesterday"}, "/from"),
        ({"prices": [{"product": "sms", "unit_price": "1"}], "to": True}, "/to"),
        ({"prices": [{"product": "sms", "unit_price": "1"}], "to": -1}, "/to"),
        ({"prices": [{"product": "sms", "unit_price": "1"}], "extra": 1}, "/extra"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(sqlite_till: Till, body: Any, pointer: str) -> None:
    answer = sqlite_till.front.ask("POST", "what-if", body)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


def test_a_customer_that_there_is_not_is_said_so(sqlite_till: Till) -> None:
    refused = asked(sqlite_till, 404, discounts=[{"from_percent": "1", "to_percent": "2"}], customer_id="cus_nobody")

    assert refused["code"] == "account-not-found"
