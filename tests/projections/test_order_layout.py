"""The compact layout of orders: what shares a place is told apart, and a step that fails half-way is not believed."""

from __future__ import annotations

import random

import pytest
import redis

from ledger.ids import new_id
from ledger.orders import STATUSES, Order
from projections import generations, order_documents, order_layout
from projections.context import Context
from projections.diff import diff
from projections.drain import drain_once
from projections.order_documents import OrderDocument
from projections.search import OrderFilters, read_orders, search
from shop import all_orders, fill
from submissions import Desk


def drain(use: Context) -> None:
    while drain_once(use.engine, use.redis, "orders", 60):
        pass


def test_orders_whose_ids_share_a_checksum_are_told_apart(
    desk: Desk, use: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_layout, "id_field", lambda order_id: ("i:0", "0"))
    fill(desk.ledger, random.Random(3), customers=2, orders=100)

    drain(use)

    orders = all_orders(use.engine)
    _, found = read_orders(use.redis, [each.order_id for each in orders])
    assert {order_id: document.order for order_id, document in found.items()} == {
        each.order_id: each for each in orders
    }
    assert [each.order for each in search(use.redis, OrderFilters(order_id=orders[7].order_id)).orders] == [orders[7]]


def test_a_step_that_failed_half_way_is_thrown_away_with_its_generation(desk: Desk, use: Context) -> None:
    fill(desk.ledger, random.Random(3), customers=2, orders=100)
    assert drain_once(use.engine, use.redis, "orders", 60)
    live = generations.live(use.redis, "orders")
    assert live is not None
    use.redis.delete(live.prefix + order_layout.REFERENCES)
    use.redis.set(live.prefix + order_layout.REFERENCES, "in the way")
    with pytest.raises(redis.ResponseError):
        drain(use)

    drain(use)

    again = generations.live(use.redis, "orders")
    assert again is not None and again.generation != live.generation
    assert diff(use.engine, use.redis, "orders").differences == ()


@pytest.mark.parametrize("reference", [None, "", "INV-1", "a=b,c", "STRASSE", "Straße", "发票=7", "\0", "7=x", "É=é"])
def test_a_document_is_read_as_it_was_written(reference: str | None) -> None:
    chance = random.Random(5)
    for status in STATUSES:
        order = Order(
            order_id=new_id("ord"),
            account_id="other:1",
            status=status,
            product="a:b",
            quantity=1,
            unit_price="0.10",
            list_amount_minor=10**15 - 1,
            discount_percent="90",
            amount_minor=chance.randint(1, 10**15 - 1),
            currency="CNY",
            reference=reference,
            attempt=2,
            executor=None,
            delivered=0,
            captured_minor=0,
            released_minor=0,
            code="no",
            placed_position=7,
            position=9,
        )
        document = OrderDocument(number=3, order=order, placed_at_us=10, updated_at_us=20)

        assert order_documents.decode(3, order_documents.encode(document)) == document
