"""A ledger full of random orders, and searching it by looking at every one."""

from __future__ import annotations

import random
from collections.abc import Sequence

import sqlalchemy as sa

from ledger import log, state
from ledger.append import Ledger
from ledger.commands import (
    CancelOrder,
    Command,
    CompleteOrder,
    FailOrder,
    OpenAccount,
    ParkOrder,
    PlaceOrder,
    ProductTerms,
    Recharge,
    ResolveOrder,
    StartOrder,
)
from ledger.ids import new_id
from ledger.orders import Order
from projections.search import FreeText, OrderFilters
from submissions import submission

PRODUCTS = ("sms", "top-up", "a:b")
REFERENCES = ("INV-1", "inv-1", "Inv-10", "发票-7", "STRASSE", "straße", "x", None, None)
QUANTITIES = (1, 5, 5, 5, 100)


def fill(ledger: Ledger, chance: random.Random, *, customers: int, orders: int) -> list[str]:
    """Place orders and move them on at random; return the customers."""
    accounts = [new_id("cus") for _ in range(customers)]
    submit(ledger, [OpenAccount(account_id=each, currency="CNY") for each in accounts])
    submit(ledger, [Recharge(account_id=each, amount_minor=10**9, currency="CNY") for each in accounts])
    for _ in range(0, orders, 50):
        ids = [new_id("ord") for _ in range(50)]
        submit(ledger, [place(each, chance, chance.choice(accounts)) for each in ids])
        for _ in range(3):
            submit(ledger, [move(each, chance) for each in ids])
    return accounts


def place(order_id: str, chance: random.Random, account_id: str) -> Command:
    sku = chance.choice(PRODUCTS)
    terms = ProductTerms(sku=sku, unit_price="0.50", tiers=(), quantity_min=1, quantity_max=1_000, currency="CNY")
    return PlaceOrder(
        account_id=account_id,
        product=sku,
        quantity=chance.choice(QUANTITIES),
        order_id=order_id,
        reference=chance.choice(REFERENCES),
        terms=terms,
    )


def move(order_id: str, chance: random.Random) -> Command:
    """One of the moves; many are refused, as the order is elsewhere."""
    moves: list[Command] = [
        StartOrder(order_id=order_id, attempt=1, executor="test"),
        StartOrder(order_id=order_id, attempt=1, executor="test"),
        CompleteOrder(order_id=order_id, attempt=1, delivered=1),
        FailOrder(order_id=order_id, attempt=1, code="no"),
        CancelOrder(order_id=order_id),
        ParkOrder(order_id=order_id, attempt=1, code="unsure"),
        ResolveOrder(order_id=order_id, resolution="completed", delivered=0),
    ]
    return chance.choice(moves)


def submit(ledger: Ledger, commands: Sequence[Command]) -> None:
    ledger.append_batch([submission(each) for each in commands], atomic=False)


def all_orders(engine: sa.Engine) -> list[Order]:
    with engine.connect() as connection:
        events = log.events_after(connection, 0, 1_000_000, type="order.placed")
        return list(state.orders_by_id(connection, [str(each.order_id) for each in events]).values())


def brute_force(orders: Sequence[Order], filters: OrderFilters, sort: str) -> list[str]:
    """Return the ids of the orders that match, in order; ties by placing order."""
    found = sorted((each for each in orders if matches(each, filters)), key=lambda each: each.placed_position)
    if "amount" in sort:
        found.sort(key=lambda each: each.amount_minor)
    if sort in ("newest", "-amount"):
        found.reverse()
    return [each.order_id for each in found]


def matches(order: Order, filters: OrderFilters) -> bool:
    reference = (order.reference or "").casefold()
    return all(
        (
            filters.order_id in (None, order.order_id),
            filters.reference is None or (order.reference is not None and reference == filters.reference.casefold()),
            filters.reference_prefix is None
            or (order.reference is not None and reference.startswith(filters.reference_prefix.casefold())),
            filters.customer_ids is None or order.account_id in filters.customer_ids,
            filters.statuses is None or order.status in filters.statuses,
            filters.products is None or order.product in filters.products,
            filters.placed_from is None or order.placed_position >= filters.placed_from,
            filters.placed_to is None or order.placed_position <= filters.placed_to,
            filters.amount_min_minor is None or order.amount_minor >= filters.amount_min_minor,
            filters.amount_max_minor is None or order.amount_minor <= filters.amount_max_minor,
            all(word_matches(order, each) for each in filters.words),
        )
    )


def word_matches(order: Order, word: FreeText) -> bool:
    reference = (order.reference or "").casefold()
    return (
        order.order_id in word.order_ids
        or order.account_id in word.customer_ids
        or order.product in word.products
        or (
            order.reference is not None
            and any(reference.startswith(each.casefold()) for each in word.reference_prefixes)
        )
    )
