"""How outcomes, orders, balances and events look to a client: decimal strings, RFC 3339 times, null for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

import msgspec

from ledger.clock import rfc3339
from ledger.codec import decode
from ledger.events import (
    EVENT_CLASSES,
    DeductionPosted,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    OrderPlaced,
    OrderResolved,
    RechargePosted,
    Recorded,
    TransactionReversed,
)
from ledger.feed import event_json as event_json
from ledger.money import currency, format_amount
from ledger.orders import Order
from ledger.submission import Balance, Outcome

CLOUD_EVENTS_SOURCE = "/v1/events"
_AMOUNTS: dict[str, tuple[str, ...]] = {
    **{each.TYPE: ("amount_minor",) for each in (RechargePosted, DeductionPosted, TransactionReversed, OrderPlaced)},
    **{each.TYPE: ("captured_minor", "released_minor") for each in (OrderCompleted, OrderCancelled, OrderResolved)},
    OrderFailed.TYPE: ("released_minor",),
}
"""What makes up the amount of an event, by its type."""
# All events of a commit have one time.
_rfc3339 = lru_cache(maxsize=64)(rfc3339)
_decode = msgspec.json.Decoder().decode


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
    event, balance = outcome.event, outcome.balance
    if event is None or balance is None:
        frame: dict[str, Any] = {"position": outcome.position, "type": None}
    else:
        frame = event_frame(event, balance, outcome.details or {})
    if balance is not None:
        frame["balance"] = balance_json(balance)
    if outcome.order is not None:
        frame["order"] = order_json(outcome.order)
    return frame


def event_frame(recorded: Recorded, balance: Balance, details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the frame of an answer says of its event."""
    fact = facts(recorded)
    amount_minor = amount_of(recorded.type, fact)
    frame = {
        "position": recorded.position,
        "type": recorded.type,
        "recorded_at": _rfc3339(recorded.recorded_at_us),
        "customer_id": recorded.account_id,
        "amount": None if amount_minor is None else format_amount(amount_minor, currency(balance.currency)),
        "currency": balance.currency,
        "reference": fact.get("reference"),
        "memo": details.get("memo"),
    }
    if recorded.type == TransactionReversed.TYPE:
        frame["reverses_position"] = fact["reverses_position"]
    if "reason" in details:
        frame["reason"] = details["reason"]
    return frame


def facts(recorded: Recorded) -> Mapping[str, Any]:
    """Return an event's data in today's shape; what is left out is missing. Raises CorruptLog."""
    known = EVENT_CLASSES.get(recorded.type)
    if known is not None and recorded.schema_version == known.SCHEMA_VERSION:
        found: dict[str, Any] = _decode(recorded.data)
        return found
    return asdict(decode(recorded.type, recorded.schema_version, recorded.data))


def amount_of(event_type: str, fact: Mapping[str, Any]) -> int | None:
    """Return the amount that an event is about, in minor units; None when it is about none."""
    names = _AMOUNTS.get(event_type)
    return None if names is None else sum(fact[name] for name in names)


def balance_json(balance: Money) -> dict[str, Any]:
    """Return a balance as clients see it."""
    unit = currency(balance.currency)
    available = format_amount(balance.available_minor, unit)
    return {
        "available": available,
        "held": format_amount(balance.held_minor, unit),
        "total": available if balance.held_minor == 0 else format_amount(balance.total_minor, unit),
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


def cloud_event(recorded: Recorded) -> dict[str, Any]:
    """Return an event as CloudEvents 1.0 has it, in JSON; `data` is the whole envelope as the feed has it.

    `sequence` is the position, as text because the format's integers have 32 bits.
    """
    return {
        "specversion": "1.0",
        "id": str(UUID(bytes=recorded.event_id)),
        "source": CLOUD_EVENTS_SOURCE,
        "type": recorded.type,
        "subject": recorded.order_id or recorded.account_id,
        "time": rfc3339(recorded.recorded_at_us),
        "datacontenttype": "application/json",
        "sequence": str(recorded.position),
        "partitionkey": recorded.account_id,
        "data": event_json(recorded),
    }
