"""The orders read model: each order as it stands, and the sets by which orders are found.

Orders are numbered in the order of placing, so that sets hold small integers. Every order is in one set for its
customer, one for its product and one for all, each by status, each by time and by amount.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

from ledger import codec
from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES, Event, OrderEvent, Recorded
from ledger.orders import Order, evolve
from projections import keys, order_documents
from projections.order_documents import OrderDocument, folded
from projections.steps import Reader, Step, Unappliable
from projections.walk import NUMBER_DIGITS, amount_member

NAME = "orders"
TALLY_FIELD = "orders"
CUSTOMER, PRODUCT, STATUS = "c", "p", "s"
_ORDER_TYPES = frozenset(each.TYPE for each in get_args(OrderEvent))


def fold(events: Sequence[Recorded], reader: Reader) -> Step:
    """Return what the events change. Raises Unappliable."""
    relevant = [(each, event) for each in events if (event := _event(each)) is not None]
    before, count = _stored(reader, list(dict.fromkeys(str(each.order_id) for each, _ in relevant)))
    after = dict(before)
    for each, event in relevant:
        order_id = str(each.order_id)
        known = after.get(order_id)
        try:
            order = evolve(
                None if known is None else known.order,
                event,
                order_id=order_id,
                account_id=each.account_id,
                position=each.position,
            )
        except TypeError:
            raise Unappliable(each.position, "its order was never placed") from None
        if known is None:
            count += 1
            after[order_id] = OrderDocument(
                number=count, order=order, placed_at_us=each.recorded_at_us, updated_at_us=each.recorded_at_us
            )
        else:
            after[order_id] = replace(known, order=order, updated_at_us=each.recorded_at_us)
    step = Step()
    for order_id, document in after.items():
        _write(step, before.get(order_id), document)
    if relevant:
        step.put(keys.TALLY, TALLY_FIELD, str(count))
    return step


def _event(recorded: Recorded) -> OrderEvent | None:
    if recorded.type not in EVENT_CLASSES:
        raise Unappliable(recorded.position, "its type is unknown")
    if recorded.type not in _ORDER_TYPES:
        return None
    try:
        event: Event = codec.decode(recorded.type, recorded.schema_version, recorded.data)
    except CorruptLog:
        raise Unappliable(recorded.position, "its data cannot be read") from None
    if recorded.order_id is None or not isinstance(event, OrderEvent):
        raise Unappliable(recorded.position, "it names no order")
    return event


def _stored(reader: Reader, order_ids: list[str]) -> tuple[dict[str, OrderDocument], int]:
    """Return the orders among these that are known, and how many orders there are."""
    wanted = [(keys.TALLY, TALLY_FIELD), *((keys.id_bucket(each), each) for each in order_ids)]
    count, *numbers = reader.fields(wanted)
    known = [(each, int(number)) for each, number in zip(order_ids, numbers, strict=True) if number is not None]
    texts = reader.fields([(keys.document_bucket(number), str(number)) for _, number in known])
    documents = {
        order_id: order_documents.decode(text)
        for (order_id, _), text in zip(known, texts, strict=True)
        if text is not None
    }
    return documents, int(count or 0)


def _write(step: Step, before: OrderDocument | None, after: OrderDocument) -> None:
    order, number = after.order, str(after.number)
    step.put(keys.document_bucket(after.number), number, order_documents.encode(after))
    if before is None:
        step.put(keys.id_bucket(order.order_id), order.order_id, number)
        if order.reference is not None:
            step.add(keys.REFERENCES, 0, reference_member(order.reference, after.number))
    elif before.order.status == order.status:
        return
    member = amount_member(order.amount_minor, after.number)
    if before is not None:
        for parts in _sets(before.order):
            step.remove(keys.by_time(*parts), number)
            step.remove(keys.by_amount(*parts), member)
    for parts in _sets(order):
        step.add(keys.by_time(*parts), order.placed_position, number)
        step.add(keys.by_amount(*parts), 0, member)


def _sets(order: Order) -> Iterator[tuple[str, ...]]:
    yield (CUSTOMER, order.account_id, order.status)
    yield (PRODUCT, order.product, order.status)
    yield (STATUS, order.status)


def reference_member(reference: str, number: int) -> str:
    """Return the member of the set of references: sorted by the folded reference."""
    return f"{folded(reference)}\0{number:0{NUMBER_DIGITS}x}"
