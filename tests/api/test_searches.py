"""Searches find what was meant: amounts in the account's currency, products by any part of their names, or say why not."""

from __future__ import annotations

import pytest

from directory_front import GOOD, Front
from till import Till, new_key


def placed(till: Till, product: str, customer_id: str | None = None) -> str:
    body = {"customer_id": customer_id or till.customer_id, "product": product, "quantity": 1}
    answer = till.post("orders", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json["order"]["id"])


def amounts(front: Front, path: str, **query: str) -> list[str]:
    answer = front.ask("GET", path, query=query)
    assert answer.status_code == 200, answer.text
    return [each["amount"] for each in answer.json["data"]]


@pytest.mark.parametrize(("path", "more"), [("orders", {}), ("transactions", {"type": "order.placed"})])
def test_bounds_of_amounts_have_the_currency_of_the_one_account_that_is_searched(
    sqlite_till: Till, path: str, more: dict[str, str]
) -> None:
    front = sqlite_till.front
    yen, dinar = (front.create("customers", currency=each)["id"] for each in ("JPY", "KWD"))
    front.create("products", sku="yen", unit_price="500", currency="JPY")
    front.ask("POST", f"customers/{yen}/recharges", {"amount": "1000"}, Idempotency_Key=new_key())
    placed(sqlite_till, "yen", yen)
    sqlite_till.drain()

    own = front.bound_to(yen, "orders.read", "transactions.read")
    for asker, whose in ((own, {}), (front, {"customer_id": yen})):
        assert amounts(asker, path, amount_min="400", amount_max="500", **whose, **more) == ["500"]
        assert amounts(asker, path, amount_max="10", **whose, **more) == []
        assert asker.ask("GET", path, query={"amount_min": "400.5", **whose}).status_code == 422

    assert amounts(front, path, amount_min="1.234", customer_id=dinar, **more) == []
    assert amounts(front, path, amount_min="5.00", amount_max="5.00", **more) == ["500"]


def test_an_export_reads_bounds_of_amounts_as_a_search_does(sqlite_till: Till) -> None:
    front = sqlite_till.front
    yen = front.create("customers", currency="JPY")["id"]
    front.create("products", sku="yen", unit_price="500", currency="JPY")
    front.ask("POST", f"customers/{yen}/recharges", {"amount": "1000"}, Idempotency_Key=new_key())
    order_id = placed(sqlite_till, "yen", yen)
    sqlite_till.drain()

    own = front.bound_to(yen, "orders.read")

    assert order_id in own.ask("GET", "orders/export", query={"amount_min": "400"}).text
    assert order_id not in own.ask("GET", "orders/export", query={"amount_max": "10"}).text


def test_a_word_that_too_many_products_have_is_refused_and_never_finds_a_part(sqlite_till: Till) -> None:
    front = sqlite_till.front
    products = [{**GOOD["products"], "sku": f"card-{number:03}"} for number in range(101)]
    front.create_many("products", products[:100])
    sqlite_till.recharge("10.00")
    order_id = placed(sqlite_till, "card-099")
    sqlite_till.drain()

    found = sqlite_till.get("orders?q=card").json["data"]
    front.create_many("products", products[100:])
    refused = [sqlite_till.get(f"{path}?q=card") for path in ("orders", "orders/export")]

    assert [each["id"] for each in found] == [order_id]
    for answer in refused:
        assert (answer.status_code, answer.json["code"]) == (422, "invalid-fields")
        assert answer.json["errors"][0]["parameter"] == "q"
        assert "too many products match" in answer.json["errors"][0]["detail"]
    assert [each["id"] for each in sqlite_till.get("orders?q=card-09").json["data"]] == [order_id]


@pytest.mark.parametrize("text", ["Карта", "карта", "КАРТ", "CARD"])
def test_a_product_is_found_by_its_name_in_capital_letters_or_small_ones(till: Till, text: str) -> None:
    till.front.create("products", sku="card", name="Карта")
    till.recharge("10.00")
    order_id = placed(till, "card")
    till.drain()

    found = till.get(f"orders?q={text}").json["data"]

    assert [each["id"] for each in found] == [order_id]
