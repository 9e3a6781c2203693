"""The books of one range of positions, brought up event by event; and the form in which they go to another process.

In a range that does not begin with the log, an order's events may come without its order.placed: they change the
account here and are put off for the order until the ranges before are known (`put_off`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger.accounts import OPEN
from ledger.audit import order_books, shapes
from ledger.audit.account_books import NO_LEGS, Part
from ledger.audit.findings import Finding, Found
from ledger.audit.order_books import STEPS, Order, RowSums
from ledger.postings import REVENUE
from ledger.proofs.tree import BlockRoots

PLACED_TYPE = "order.placed"
_HELD = b'{"account":"customer:%b:held","amount_minor":%d,"currency":"%b"}'
_AVAILABLE = b'{"account":"customer:%b:available","amount_minor":%d,"currency":"%b"}'
_REVENUE = b'{"account":"' + REVENUE.encode() + b'","amount_minor":%d,"currency":"%b"}'
_HOLD = b"[" + _AVAILABLE + b"," + _HELD + b"]"
_CAPTURE = b"[" + _HELD + b"," + _REVENUE + b"]"
_RELEASE = b"[" + _HELD + b"," + _AVAILABLE + b"]"
_SPLIT = b"[" + _HELD + b"," + _AVAILABLE + b"," + _REVENUE + b"]"
_STEPS = {shapes.STRUCTURES[type_name]: step for type_name, step in STEPS.items()}
_FAILED = shapes.STRUCTURES["order.failed"]


@dataclass(frozen=True, slots=True)
class PutOff:
    """An event of an order that was placed before the range."""

    position: int
    order_id: bytes
    account_id: bytes
    type_name: str
    data: bytes


@dataclass(slots=True, kw_only=True)
class RangeResult:
    """What one range came to: `finding` ends it early. `times_us`: of its first and last event. `blocks`: of the
    tree over them.
    """

    first: int
    events: int = 0
    times_us: tuple[int, int] = (0, 0)
    parts: list[Part] = field(default_factory=list)
    open_orders: list[tuple[Any, ...]] = field(default_factory=list)
    put_off: list[PutOff] = field(default_factory=list)
    order_sums: dict[int, int] = field(default_factory=dict)
    blocks: BlockRoots = field(default_factory=BlockRoots)
    finding: Finding | None = None


class RangeBooks:
    """Accounts and open orders of a range so far."""

    def __init__(self, *, is_first: bool) -> None:
        self.accounts: dict[bytes, Part] = {}
        self.orders: dict[bytes, Order] = {}
        self.sums = RowSums()
        self.put_off: list[PutOff] = []
        self._ended: Counter[str] = Counter()
        self._is_first = is_first

    def place(self, part: Part, order_id: bytes, content: Any, position: int, data: bytes) -> bytes:
        """Apply an order.placed and return the postings that its data lead to. Raises Found."""
        if order_id in self.orders:
            raise Found(position, "the order is placed a second time")
        account_id, amount, code = part.account_id, content.amount_minor, part.code
        self.orders[order_id] = order_books.place(order_id, account_id, content, position)
        if part.status != OPEN:
            part.rely_on_status(OPEN, position)
        if part.percent != content.discount_percent:
            part.rely_on_percent(content.discount_percent, position)
        if part.currency != content.currency:
            raise Found(position, f"the order is in {content.currency}, the account in {part.currency}")
        part.available -= amount
        part.held += amount
        return _HOLD % (account_id, -amount, code, account_id, amount, code)

    def go_on(self, part: Part, order_id: bytes, content: Any, position: int, data: bytes) -> bytes:
        """Apply an order's event that moves no money. Raises Found."""
        order = self.orders.get(order_id)
        if order is None:
            self._put_off(part, order_id, content, position, data)
        else:
            step(order, part.account_id, content, position)
        return NO_LEGS

    def end(self, part: Part, order_id: bytes, content: Any, position: int, data: bytes) -> bytes:
        """Apply an order's event that ends its hold and return the postings that its data lead to. Raises Found."""
        order = self.orders.pop(order_id, None)
        if order is None:
            self._put_off(part, order_id, content, position, data)
            captured = 0 if type(content) is _FAILED else content.captured_minor
        else:
            delivered, captured, released = step(order, part.account_id, content, position)
            self.sums.add_order(order, delivered, captured, released)
            self._ended[order.status] += 1
        released, account_id, code = content.released_minor, part.account_id, part.code
        part.held -= captured + released
        if released == 0:
            return _CAPTURE % (account_id, -captured, code, captured, code)
        part.available += released
        if captured == 0:
            return _RELEASE % (account_id, -released, code, account_id, released, code)
        return _SPLIT % (account_id, -captured - released, code, account_id, released, code, captured, code)

    def order_statuses(self) -> Counter[str]:
        """Return the number of orders by status."""
        return self._ended + Counter(order.status for order in self.orders.values())

    def _put_off(self, part: Part, order_id: bytes, content: Any, position: int, data: bytes) -> None:
        type_name = shapes.TYPE_NAMES[type(content)]
        if self._is_first:
            raise Found(position, f"{type_name} of an order that is not open")
        self.put_off.append(PutOff(position, order_id, part.account_id, type_name, data))


ORDER_HANDLERS: dict[str, Callable[[RangeBooks, Part, bytes, Any, int, bytes], bytes]] = {
    PLACED_TYPE: RangeBooks.place,
    "order.started": RangeBooks.go_on,
    "order.parked": RangeBooks.go_on,
    "order.completed": RangeBooks.end,
    "order.cancelled": RangeBooks.end,
    "order.resolved": RangeBooks.end,
    "order.failed": RangeBooks.end,
}


def step(order: Order, account_id: bytes, content: Any, position: int) -> tuple[int, int, int]:
    """Take an order one event on; return what was delivered, captured and released, if that ended it. Raises Found."""
    if order.account_id != account_id:
        raise Found(position, "the order is another account's")
    order.position = position
    return _STEPS[type(content)](order, content, position)


def packed(order: Order) -> tuple[Any, ...]:
    """Return an order in a form that another process can take up."""
    rest = (order.placed_position, order.position, order.status, order.attempt, order.executor, order.code)
    return order.order_id, order.account_id, shapes.encode(order.terms), *rest


def unpacked(values: tuple[Any, ...]) -> Order:
    """Return the order again."""
    order_id, account_id, terms, *rest = values
    return Order(order_id, account_id, shapes.DECODERS[PLACED_TYPE](terms), *rest)
