"""The audit's checks of events in their slow, obviously right form: one event after the other, by the ledger's rules."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from ledger import accounts, codec, orders
from ledger.accounts import Account
from ledger.commands import PlaceOrder, ProductTerms
from ledger.errors import LedgerError
from ledger.events import Event, OrderEvent
from ledger.leaf import LEAF_FIELDS, leaf_bytes, leaf_hash
from ledger.orders import TERMINAL, Order
from ledger.postings import postings

AFTER = {
    "order.started": {"placed", "executing"},
    "order.completed": {"executing"},
    "order.failed": {"executing"},
    "order.cancelled": {"placed", "executing"},
    "order.parked": {"placed", "executing"},
    "order.resolved": {"needs_review"},
}


def first_bad_position(engine: sa.Engine) -> int | None:
    """Return the first position where the events break a rule; None when none does."""
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.exec_driver_sql("SELECT * FROM events ORDER BY position").mappings()]
    open_accounts: dict[str, Account] = {}
    known_orders: dict[str, Order] = {}
    last_time = 0
    for position, row in enumerate(rows, start=1):
        try:
            assert row["position"] == position
            assert row["leaf_hash"] == leaf_hash(leaf_bytes(*(row[name] for name in LEAF_FIELDS)))
            assert row["recorded_at_us"] >= last_time
            last_time = row["recorded_at_us"]
            _event(row, open_accounts, known_orders)
        except (AssertionError, LedgerError, TypeError, KeyError):
            return position
    return None


def _event(row: dict[str, Any], open_accounts: dict[str, Account], known_orders: dict[str, Order]) -> None:
    event = codec.decode(row["type"], row["schema_version"], row["data"])
    assert codec.encode(event) == row["data"]
    before = open_accounts.get(row["account_id"])
    assert (before is None) == (row["type"] == "account.opened")
    if before is not None and row["type"] in ("deduction.posted", "order.placed"):
        assert before.status == "open"
    if before is not None and row["type"] in ("account.suspended", "account.reactivated"):
        assert (before.status == "open") == (row["type"] == "account.suspended")
    after = accounts.evolve(before, event, account_id=row["account_id"], position=row["position"])
    legs = [
        {"account": leg.account, "amount_minor": leg.amount_minor, "currency": leg.currency}
        for leg in postings(event, row["account_id"], after.currency)
    ]
    assert codec.canonical_json(legs) == row["postings"]
    assert sum(leg["amount_minor"] for leg in json.loads(row["postings"])) == 0
    assert getattr(event, "currency", after.currency) == after.currency
    assert (row["version"], row["available_minor"], row["held_minor"]) == (
        after.version,
        after.available_minor,
        after.held_minor,
    )
    assert after.available_minor >= -after.credit_limit_minor and after.held_minor >= 0
    if getattr(event, "amount_minor", 1) <= 0:
        assert row["type"] == "transaction.reversed" and event.amount_minor != 0  # type: ignore[union-attr]
    assert (row["order_id"] is not None) == isinstance(event, OrderEvent)
    if isinstance(event, OrderEvent):
        _order(row, event, before, known_orders)
    open_accounts[row["account_id"]] = after


def _order(row: dict[str, Any], event: Event, account: Account | None, known_orders: dict[str, Order]) -> None:
    assert isinstance(event, OrderEvent) and account is not None
    before = known_orders.get(row["order_id"])
    if row["type"] == "order.placed":
        _placed(row, event, account, before)
    else:
        assert before is not None and before.status in AFTER[row["type"]] and before.account_id == row["account_id"]
    after = orders.evolve(
        before, event, order_id=row["order_id"], account_id=row["account_id"], position=row["position"]
    )
    if row["type"] == "order.started":
        assert before is not None and after.attempt == before.attempt + 1
    if row["type"] == "order.cancelled":
        assert before is not None
        confirmed = getattr(event, "confirmed_by_executor", None)
        assert (confirmed is None and after.delivered == 0) if before.status == "placed" else confirmed is True
    if after.status in TERMINAL:
        assert after.captured_minor + after.released_minor == after.amount_minor
        share = orders.partial_capture(after.amount_minor, after.delivered, after.quantity)
        assert 0 <= after.delivered <= after.quantity and after.captured_minor == share
    known_orders[row["order_id"]] = after


def _placed(row: dict[str, Any], event: Any, account: Account, before: Order | None) -> None:
    terms = ProductTerms(
        sku=event.product,
        unit_price=event.unit_price,
        tiers=(),
        quantity_min=1,
        quantity_max=10**9,
        currency=event.currency,
    )
    command = PlaceOrder(
        account_id=row["account_id"],
        product=event.product,
        quantity=event.quantity,
        order_id=row["order_id"],
        terms=terms,
        reference=event.reference,
    )
    assert orders.place(account, before, command) == event
