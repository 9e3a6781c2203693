"""How outcomes, orders, balances and events look to a client: decimal strings, RFC 3339 times, null for nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from ledger.clock import rfc3339
from ledger.codec import decode
from ledger.events import (
    DeductionPosted,
    Event,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    OrderPlaced,
    OrderResolved,
    RechargePosted,
    Recorded,
    TransactionReversed,
)
from ledger.money import currency, format_amount
from ledger.orders import Order
from ledger.submission import Balance, Outcome


class Money(Protocol):
    """An account's money after its event at `position`."""

    @property
    def available_minor(self) -> int:
        """What can be spent, credit left out."""

    @property
    def held_minor(self) -> int:
        """What open orders hold."""

    @property
    def total_minor(self) -> int:
        """Both together."""

    @property
    def currency(self) -> str:
        """The account's currency."""

    @property
    def version(self) -> int:
        """The event's place in the account's stream."""

    @property
    def position(self) -> int:
        """The event's place in the log."""


def outcome_frame(outcome: Outcome) -> dict[str, Any]:
    """Return the answer to an accepted command."""
    frame: dict[str, Any] = {"position": outcome.position, "type": None}
    event, balance = outcome.event, outcome.balance
    if event is not None and balance is not None:
        frame |= event_frame(event, balance, outcome.details or {})
    if balance is not None:
        frame["balance"] = balance_json(balance)
    if outcome.order is not None:
        frame["order"] = order_json(outcome.order)
    return frame


def event_frame(recorded: Recorded, balance: Balance, details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the frame of an answer says of its event."""
    event = decode(recorded.type, recorded.schema_version, recorded.data)
    unit = currency(balance.currency)
    amount_minor = amount_of(event)
    frame = {
        "position": recorded.position,
        "type": recorded.type,
        "recorded_at": rfc3339(recorded.recorded_at_us),
        "customer_id": recorded.account_id,
        "amount": None if amount_minor is None else format_amount(amount_minor, unit),
        "currency": balance.currency,
        "reference": getattr(event, "reference", None),
        "memo": details.get("memo"),
    }
    if isinstance(event, TransactionReversed):
        frame["reverses_position"] = event.reverses_position
    if "reason" in details:
        frame["reason"] = details["reason"]
    return frame


def amount_of(event: Event) -> int | None:
    """Return the amount that an event is about, in minor units; None when it is about none."""
    match event:
        case RechargePosted() | DeductionPosted() | TransactionReversed() | OrderPlaced():
            return event.amount_minor
        case OrderCompleted() | OrderCancelled() | OrderResolved():
            return event.captured_minor + event.released_minor
        case OrderFailed():
            return event.released_minor
        case _:
            return None


def balance_json(balance: Money) -> dict[str, Any]:
    """Return a balance as clients see it."""
    unit = currency(balance.currency)
    return {
        "available": format_amount(balance.available_minor, unit),
        "held": format_amount(balance.held_minor, unit),
        "total": format_amount(balance.total_minor, unit),
        "currency": balance.currency,
        "version": balance.version,
        "position": balance.position,
    }


def order_json(order: Order) -> dict[str, Any]:
    """Return an order as clients see it."""
    unit = currency(order.currency)
    return {
        "id": order.order_id,
        "customer_id": order.account_id,
        "status": order.status,
        "product": order.product,
        "quantity": order.quantity,
        "unit_price": order.unit_price,
        "list_amount": format_amount(order.list_amount_minor, unit),
        "discount_percent": order.discount_percent,
        "amount": format_amount(order.amount_minor, unit),
        "currency": order.currency,
        "reference": order.reference,
        "attempt": order.attempt,
        "executor": order.executor,
        "delivered": order.delivered,
        "captured": format_amount(order.captured_minor, unit),
        "released": format_amount(order.released_minor, unit),
        "code": order.code,
        "placed_position": order.placed_position,
        "position": order.position,
    }


def event_json(recorded: Recorded) -> dict[str, Any]:
    """Return an event as the feed has it: the whole envelope, data and postings as the stored bytes' own JSON."""
    return {
        "position": recorded.position,
        "event_id": str(UUID(bytes=recorded.event_id)),
        "account_id": recorded.account_id,
        "version": recorded.version,
        "type": recorded.type,
        "schema_version": recorded.schema_version,
        "order_id": recorded.order_id,
        "actor": recorded.actor,
        "idempotency_key": recorded.idempotency_key.decode("utf-8"),
        "correlation_id": recorded.correlation_id,
        "causation_id": recorded.causation_id,
        "recorded_at": rfc3339(recorded.recorded_at_us),
        "available_minor": recorded.available_minor,
        "held_minor": recorded.held_minor,
        "details_hash": None if recorded.details_hash is None else recorded.details_hash.hex(),
        "data": json.loads(recorded.data),
        "postings": json.loads(recorded.postings),
        "leaf_hash": recorded.leaf_hash.hex(),
    }
