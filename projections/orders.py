"""The orders read model: each order as it stands, and the sets by which orders are found.

Orders are numbered in the order of placing, so that number order is time order. What never changes of an order stands
in lists and sorted indexes, its status in bitmaps and counters; see projections.order_layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from ledger import codec
from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES, Event, OrderEvent, Recorded
from ledger.orders import evolve
from projections import order_documents, order_layout
from projections.order_documents import ACCOUNT_PREFIX, STATUS_CODES, OrderDocument, folded, shortened
from projections.steps import Reader, Step, Unappliable

NAME = "orders"
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
    _write_ids(step, [document for order_id, document in after.items() if order_id not in before], reader)
    if relevant:
        step.put(*order_layout.COUNT, str(count))
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
    count, *found = reader.fields([order_layout.COUNT, *map(order_layout.id_field, order_ids)])
    numbers = [
        (order_id, int(each))
        for order_id, text in zip(order_ids, found, strict=True)
        if text
        for each in text.split(",")
    ]
    lines = reader.items([order_layout.document(number) for _, number in numbers])
    documents = {}
    for (order_id, number), line in zip(numbers, lines, strict=True):
        # Ids may share a CRC; the document tells them apart.
        if line is not None and (document := order_documents.decode(number, line)).order.order_id == order_id:
            documents[order_id] = document
    return documents, int(count or 0)


def _write_ids(step: Step, placed: Sequence[OrderDocument], reader: Reader) -> None:
    """Lead from the ids' CRCs to the numbers; a CRC that several ids share leads to all of theirs."""
    fields = [order_layout.id_field(each.order.order_id) for each in placed]
    known = dict(zip(fields, reader.fields(fields), strict=True))
    for field, document in zip(fields, placed, strict=True):
        before = known[field]
        known[field] = str(document.number) if before is None else f"{before},{document.number}"
        step.put(*field, str(known[field]))


def _write(step: Step, before: OrderDocument | None, after: OrderDocument) -> None:
    order, number = after.order, after.number
    try:
        line = order_documents.encode(after)
    except ValueError:
        raise Unappliable(order.position, "its order does not fit into a document") from None
    part, index = order_layout.document(number)
    account = shortened(order.account_id, ACCOUNT_PREFIX)
    if before is None:
        step.push(part, line)
        step.push(order_layout.of_account(account), str(number))
        step.push(order_layout.of_product(order.product), str(number))
        step.index(order_layout.AMOUNTS, order_layout.amount_member(order.amount_minor, number))
        if order.reference is not None:
            member = order_layout.reference_member(folded(order.reference), number)
            step.index(order_layout.REFERENCES, member)
    else:
        step.replace(part, index, line)
        if before.order.status == order.status:
            return
    counters = order_layout.counts(), order_layout.counts(account), order_layout.counts(product=order.product)
    for document, change in ((before, -1), (after, 1)):
        if document is not None:
            code = STATUS_CODES[document.order.status]
            step.mark(*order_layout.status_bit(code, number), is_set=change == 1)
            for counter in counters:
                step.count(counter, code, change)
