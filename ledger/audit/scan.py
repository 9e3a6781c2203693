"""One pass over a range of the log: every event's hash, place, data, postings and balance.

This is the loop that an audit's speed is made in; what is rare, and what is wrong, leaves it.
"""

from __future__ import annotations

import gc
from binascii import unhexlify
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from ledger.audit import leaves, shapes
from ledger.audit.account_books import ACCOUNT_HANDLERS, NO_LEGS, Part, begin, legs_of, wrong_postings
from ledger.audit.findings import Found
from ledger.audit.range_books import ORDER_HANDLERS, RangeBooks, RangeResult, packed
from ledger.audit.reading import EventReader, Row
from ledger.events import EVENT_CLASSES
from ledger.proofs.tree import BlockRoots

_SHAPES = {
    name.encode(): (
        name,
        b"%d" % event_class.SCHEMA_VERSION,
        shapes.DECODERS[name],
        ACCOUNT_HANDLERS.get(name),
        ORDER_HANDLERS.get(name),
    )
    for name, event_class in EVENT_CLASSES.items()
}
"""By stored type: its name, today's schema version, the decoder of its data, and what takes them: one of two handlers."""


def scan(
    reader: EventReader,
    first: int,
    last: int,
    *,
    hashes: bool = True,
    progress: Callable[[int], None] = lambda events: None,
) -> RangeResult:
    """Check the events with first ≤ position ≤ last. `progress` is told of each page.

    Without `hashes` the events are replayed only.
    """
    range_scan = RangeScan(first, hashes=hashes)
    with _no_garbage_collection():
        for rows in reader.pages(first, last):
            if not range_scan.take(rows):
                break
            progress(len(rows))
    return range_scan.result(last)


class RangeScan:
    """A range on its way."""

    def __init__(self, first: int, *, hashes: bool) -> None:
        self.books = RangeBooks(is_first=first == 1)
        self._result = RangeResult(first=first)
        self._hashes = hashes
        self._result.blocks = BlockRoots(first - 1)
        self._next = first
        self._time = b""

    def take(self, rows: Sequence[Row]) -> bool:
        """Check the next rows; return whether all is well so far."""
        wrong = leaves.first_wrong(rows) if self._hashes else None
        try:
            self._fold(rows if wrong is None else rows[:wrong])
            if self._hashes:
                self._result.blocks.extend([unhexlify(row[-1]) for row in rows])
            if wrong is not None:
                position = rows[wrong][0]
                if position != b"%d" % self._next:
                    raise _missing(self._next, position)
                raise Found(self._next, "the leaf hash is not that of the stored bytes")
        except Found as found:
            self._result.finding = found.finding
        return self._result.finding is None

    def result(self, last: int) -> RangeResult:
        """Return what the range came to, which was to end at `last`."""
        result, books = self._result, self.books
        result.events = self._next - result.first
        if result.finding is None and self._next <= last:
            result.finding = Found(self._next, "this position is missing").finding
        if result.events:
            result.times_us = (result.times_us[0], int(self._time))
        result.parts = list(books.accounts.values())
        result.open_orders = [packed(order) for order in books.orders.values()]
        result.put_off, result.order_sums = books.put_off, books.sums.by_bucket
        return result

    def _fold(self, rows: Sequence[Row]) -> None:
        books, encode, shape_of = self.books, shapes.encode, _SHAPES.get
        part_of, position, last_time = books.accounts.get, self._next - 1, self._time
        try:
            for (
                position_text, _, account_id, version, type_name, schema_version, order_id, _, _,
                _, _, time, available, held, _, data, postings, _,
            ) in rows:  # fmt: skip
                position += 1
                if position_text != b"%d" % position:
                    raise _missing(position, position_text)
                if time != last_time:
                    self._ensure_time(time, last_time, position)
                    last_time = time
                shape = shape_of(type_name)
                if shape is None or schema_version != shape[1]:
                    content, on_account, on_order = _old_or_unknown(type_name, schema_version, data, position)
                else:
                    name, _, decode, on_account, on_order = shape
                    try:
                        content = decode(data)
                    except (msgspec.DecodeError, UnicodeDecodeError) as error:
                        raise Found(position, f"data are not those of {name}: {error}") from None
                    if encode(content) != data and not shapes.is_canonical(data):
                        raise Found(position, "data are not canonical JSON")
                part = part_of(account_id)
                if part is None:
                    part = self._begin(account_id, position, type_name, (version, available, held, postings))
                part.version += 1
                if version != b"%d" % part.version:
                    raise Found(
                        position, f"version {_text(version)} follows {part.version - 1} in the account's stream"
                    )
                if part.currency is None and postings != NO_LEGS:
                    part.rely_on_currency(legs_of(postings, position)[0]["currency"], position)
                if on_account is None:
                    if not order_id:
                        raise Found(position, "the event names no order")
                    legs = on_order(books, part, order_id, content, position, data)
                else:
                    if order_id:
                        raise Found(position, "the event names an order")
                    legs = on_account(part, content, position)
                if legs != postings:
                    raise wrong_postings(postings, legs, position)
                if available != b"%d" % part.available or held != b"%d" % part.held:
                    raise _wrong_balance(available, held, part, position)
                if part.available < 0 or part.held < 0:
                    part.check_balance(position)
                part.position = position
        except Found:
            position -= 1
            raise
        finally:
            self._next, self._time = position + 1, last_time

    def _begin(
        self, account_id: bytes, position: int, type_name: bytes, row: tuple[bytes, bytes, bytes, bytes]
    ) -> Part:
        if self._result.first == 1 and type_name != b"account.opened":
            raise Found(position, "the account was never opened")
        try:
            part = begin(account_id, position, type_name, row)
        except ValueError:
            raise Found(position, "version or balance is not a number") from None
        self.books.accounts[account_id] = part
        return part

    def _ensure_time(self, time: bytes, last_time: bytes, position: int) -> None:
        try:
            time_us = int(time)
        except ValueError:
            raise Found(position, "recorded_at_us is not a number") from None
        if last_time == b"":
            self._result.times_us = (time_us, time_us)
        elif time_us < int(last_time):
            raise Found(position, f"recorded_at_us {time_us} is before {_text(last_time)}, that of the event before")


def _old_or_unknown(type_name: bytes, schema_version: bytes, data: bytes, position: int) -> tuple[Any, Any, Any]:
    try:
        name = type_name.decode()
        return shapes.decode(name, int(schema_version), data), ACCOUNT_HANDLERS.get(name), ORDER_HANDLERS.get(name)
    except ValueError as error:
        raise Found(position, str(error)) from None


def _missing(position: int, following: bytes) -> Found:
    return Found(position, f"this position is missing; {_text(following)} follows")


def _wrong_balance(available: bytes, held: bytes, part: Part, position: int) -> Found:
    stored = f"{_text(available)} available and {_text(held)} held"
    return Found(position, f"the balance is {stored}, the postings lead to {part.available} and {part.held}")


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "replace")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    # The rows of a page are hundreds of thousands of objects without a cycle among them.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
