"""The orders read model: each order as it stands, and the sets by which orders are found.

Orders are numbered in the order of placing, so that number order is time order. What never changes of an order stands
in lists and sorted indexes, its status in bitmaps and counters; see projections.order_layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import get_args

from ledger import codec
from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES, OrderEvent, OrderPlaced
from ledger.log import Excerpt
from ledger.orders import evolve
from projections import order_documents, order_layout
from projections.order_documents import ACCOUNT_PREFIX, STATUS_CODES, OrderDocument, folded, shortened
from projections.steps import Reader, Step, Unappliable

NAME = "orders"
_ORDER_CLASSES: dict[str, type[OrderEvent]] = {each.TYPE: each for each in get_args(OrderEvent)}


def fold(events: Sequence[Excerpt], reader: Reader) -> Step:
    """Return what the events change. Raises Unappliable."""
    relevant = [(each, event) for each in events if (event := _event(each)) is not None]
    before, count, places = _before(relevant, reader)
    after: dict[str, OrderDocument] = {}
    for each, event in relevant:
        order_id = str(each.order_id)
        known = after.get(order_id) or before.get(order_id)
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
            number, placed_at_us = count, each.recorded_at_us
        else:
            number, placed_at_us = known.number, known.placed_at_us
        after[order_id] = OrderDocument(
            number=number, order=order, placed_at_us=placed_at_us, updated_at_us=each.recorded_at_us
        )
    step = Step()
    for order_id, document in after.items():
        _write(step, before.get(order_id), document)
    places_now = _write_columns(step, [document for order_id, document in after.items() if order_id not in before])
    if relevant:
        step.put(*order_layout.COUNT, str(count))
    if places_now > places:
        step.put(*order_layout.PLACES, str(places_now))
    step.noted.update(after)
    step.noted[order_layout.COUNT] = count
    step.noted[order_layout.PLACES] = max(places, places_now)
    return step


def _event(excerpt: Excerpt) -> OrderEvent | None:
    event_class = _ORDER_CLASSES.get(excerpt.type)
    if event_class is None:
        if excerpt.type not in EVENT_CLASSES:
            raise Unappliable(excerpt.position, "its type is unknown")
        return None
    if excerpt.order_id is None:
        raise Unappliable(excerpt.position, "it names no order")
    try:
        return event_class(**codec.content(excerpt.type, excerpt.schema_version, excerpt.data))
    except CorruptLog:
        raise Unappliable(excerpt.position, "its data cannot be read") from None


def _before(
    relevant: Sequence[tuple[Excerpt, OrderEvent]], reader: Reader
) -> tuple[dict[str, OrderDocument], int, int]:
    """Return the orders among these that were placed before, how many there are, and their amounts' binary places."""
    placed = {each.order_id for each, event in relevant if isinstance(event, OrderPlaced)}
    earlier = list(dict.fromkeys(str(each.order_id) for each, _ in relevant if each.order_id not in placed))
    found = {order_id: reader.recent[order_id] for order_id in earlier if order_id in reader.recent}
    unknown = [order_id for order_id in earlier if order_id not in found]
    count, places = reader.recent.get(order_layout.COUNT), reader.recent.get(order_layout.PLACES)
    if count is None or places is None:
        count, places = (int(each or 0) for each in reader.fields([order_layout.COUNT, order_layout.PLACES]))
    return found | _stored(reader, unknown), count, places


def _stored(reader: Reader, order_ids: list[str]) -> dict[str, OrderDocument]:
    fields = reader.fields([order_layout.id_field(each) for each in order_ids])
    numbers = [
        (order_id, int(each))
        for order_id, text in zip(order_ids, fields, strict=True)
        if text
        for each in text.split(",")
    ]
    lines = reader.items([order_layout.document(number) for _, number in numbers])
    documents = {}
    for (order_id, number), line in zip(numbers, lines, strict=True):
        # Ids may share a CRC; the document tells them apart.
        if line is not None and (document := order_documents.decode(number, line)).order.order_id == order_id:
            documents[order_id] = document
    return documents


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
        # A CRC that several ids share leads to all of their numbers.
        step.join(*order_layout.id_field(order.order_id), str(number))
        step.list_number(order_layout.of_account(account), number)
        step.list_number(order_layout.of_product(order.product), number)
        if order.reference is not None:
            member = order_layout.reference_member(folded(order.reference), number)
            step.index(order_layout.REFERENCES, member)
    else:
        step.replace(part, index, line)
        if before.order.status == order.status:
            return
    counters = (
        step.changes[order_layout.counts()],
        step.changes[order_layout.counts(account)],
        step.changes[order_layout.counts(product=order.product)],
    )
    if before is not None:
        _move(step, counters, before.order.status, number, is_in=False)
    _move(step, counters, order.status, number, is_in=True)


def _move(step: Step, counters: Sequence[dict[str, int]], status: str, number: int, *, is_in: bool) -> None:
    """Note that an order came to a status, or left it."""
    code = STATUS_CODES[status]
    part, bit = order_layout.status_bit(code, number)
    step.mark(part, bit, is_set=is_in)
    for counter in counters:
        counter[code] += 1 if is_in else -1


def _write_columns(step: Step, placed: Sequence[OrderDocument]) -> int:
    """Put amounts and accounts beside those of the orders before: the placed ones' numbers follow each other.

    Return how many binary places the amounts have.
    """
    most = 0
    for window, some in groupby(placed, lambda each: order_layout.window_of(each.number)[0]):
        documents = list(some)
        _, first = order_layout.window_of(documents[0].number)
        amounts = [each.order.amount_minor for each in documents]
        places = max(amounts).bit_length()
        most = max(most, places)
        # The binary digits of all amounts in a row: every so many of them are those of one place.
        digits = "".join(f"{each:0{places}b}" for each in amounts)
        for place in range(places):
            step.fill(order_layout.amount_bits(place, window), first, digits[places - 1 - place :: places])
        codes = [order_layout.account_code(each.order.account_id) for each in documents]
        step.code(order_layout.account_codes(window), first, codes)
    return most
