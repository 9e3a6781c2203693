"""The transactions read model: every event that moved money, with the balance after it, found by customer, type, order,
reference, time and amount.

A transaction is numbered by its event's position.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ledger import codec, postings
from ledger.errors import CorruptLog
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
from projections import keys
from projections.order_documents import folded
from projections.steps import Reader, Step, Unappliable
from projections.walk import NUMBER_DIGITS

NAME = "transactions"
CUSTOMER, TYPE = "c", "y"
TYPES = tuple(
    each.TYPE
    for each in (
        RechargePosted,
        DeductionPosted,
        TransactionReversed,
        OrderPlaced,
        OrderCompleted,
        OrderCancelled,
        OrderFailed,
        OrderResolved,
    )
)
"""The types of events that move money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """An event that moved money: what it did to the account's available and held money, and the balance after it.

    `amount_minor` is what moved, without sign. `reversed_by` is the position of the reversal, once there is one.
    """

    position: int
    account_id: str
    version: int
    type: str
    order_id: str | None
    actor: str
    correlation_id: str
    recorded_at_us: int
    amount_minor: int
    available_change_minor: int
    held_change_minor: int
    available_minor: int
    held_minor: int
    currency: str
    reference: str | None = None
    reverses_position: int | None = None
    reversed_by: int | None = None


FIELDS = tuple(each.name for each in fields(Transaction))
LUA_PLACE = {name: index for index, name in enumerate((*FIELDS, "folded"), 1)}
"""Where a field is in the stored list, counted as Lua does."""


def encode(transaction: Transaction) -> str:
    """Return the transaction as stored: a JSON list of its fields, and the folded reference where it differs."""
    values: list[Any] = [getattr(transaction, name) for name in FIELDS]
    compared = None if transaction.reference is None else folded(transaction.reference)
    values.append(None if compared == transaction.reference else compared)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Transaction:
    """Return the transaction as it was stored."""
    return Transaction(**dict(zip(FIELDS, json.loads(text)[:-1], strict=True)))


def fold(events: Sequence[Recorded], reader: Reader) -> Step:
    """Return what the events change. Raises Unappliable."""
    new = [found for each in events if (found := _transaction(each)) is not None]
    order_ids = list(dict.fromkeys(each.order_id for each in new if each.order_id is not None))
    stored = reader.fields([(keys.id_bucket(each), each) for each in order_ids])
    by_order = {order_id: text for order_id, text in zip(order_ids, stored, strict=True) if text is not None}
    step = Step()
    for each in new:
        number = str(each.position)
        step.add(keys.by_time(CUSTOMER, each.account_id), each.position, number)
        step.add(keys.by_time(TYPE, each.type), each.position, number)
        if each.reference is not None:
            step.add(keys.REFERENCES, 0, f"{folded(each.reference)}\0{each.position:0{NUMBER_DIGITS}x}")
        if each.order_id is not None:
            before = by_order.get(each.order_id)
            by_order[each.order_id] = number if before is None else f"{before},{number}"
            step.put(keys.id_bucket(each.order_id), each.order_id, by_order[each.order_id])
    for each in _with_reversals(new, reader):
        step.put(keys.document_bucket(each.position), str(each.position), encode(each))
    return step


def _with_reversals(new: Sequence[Transaction], reader: Reader) -> list[Transaction]:
    """Return the new transactions and the older ones that they reverse, marked as reversed."""
    found = {each.position: each for each in new}
    reversals = [(each.reverses_position, each.position) for each in new if each.reverses_position is not None]
    older = [reverses for reverses, _ in reversals if reverses not in found]
    texts = reader.fields([(keys.document_bucket(each), str(each)) for each in older])
    found |= {position: decode(text) for position, text in zip(older, texts, strict=True) if text is not None}
    for reverses, position in reversals:
        if reverses not in found:
            raise Unappliable(position, "what it reverses is no transaction")
        found[reverses] = replace(found[reverses], reversed_by=position)
    return list(found.values())


def _transaction(recorded: Recorded) -> Transaction | None:
    if recorded.type not in EVENT_CLASSES:
        raise Unappliable(recorded.position, "its type is unknown")
    if recorded.type not in TYPES:
        return None
    try:
        event = codec.decode(recorded.type, recorded.schema_version, recorded.data)
        legs = json.loads(recorded.postings)
        changes = {leg["account"]: leg["amount_minor"] for leg in legs}
        currency = legs[0]["currency"]
    except (CorruptLog, ValueError, LookupError, TypeError):
        raise Unappliable(recorded.position, "its data cannot be read") from None
    available = changes.get(postings.available(recorded.account_id), 0)
    held = changes.get(postings.held(recorded.account_id), 0)
    return Transaction(
        position=recorded.position,
        account_id=recorded.account_id,
        version=recorded.version,
        type=recorded.type,
        order_id=recorded.order_id,
        actor=recorded.actor,
        correlation_id=recorded.correlation_id,
        recorded_at_us=recorded.recorded_at_us,
        amount_minor=max(abs(available), abs(held)),
        available_change_minor=available,
        held_change_minor=held,
        available_minor=recorded.available_minor,
        held_minor=recorded.held_minor,
        currency=currency,
        reference=getattr(event, "reference", None),
        reverses_position=getattr(event, "reverses_position", None),
    )
