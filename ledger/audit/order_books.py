"""The life of each order, from its events alone: legal transitions, and the hold that ends exactly once.

An order is kept while it is open. When it ends, its row of the table `orders` as it must be is folded into the sums of
`RowSums`, and the order is forgotten; so memory grows with open orders, not with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from ledger.audit.findings import Found
from ledger.errors import BadMoney
from ledger.money import currency, parse_decimal
from ledger.orders import CANCELLED, COMPLETED, EXECUTING, FAILED, NEEDS_REVIEW, PLACED, RESOLUTIONS, TERMINAL
from ledger.pricing import PERCENT_DECIMALS, UNIT_PRICE_DECIMALS

BUCKET_BITS = 12
"""Orders are compared with their table by sums over those placed within 4,096 positions."""
MISSING = "~"
"""Stands for a value that is missing in a row of `orders`; no token has it."""
_encode = msgspec.json.Encoder().encode


class Order(msgspec.Struct, gc=False):
    """An open order. `terms` are the data of order.placed."""

    order_id: bytes
    account_id: bytes
    terms: Any
    placed_position: int
    position: int
    status: str = PLACED
    attempt: int = 0
    executor: str = MISSING
    code: str = MISSING

    @property
    def is_ended(self) -> bool:
        """Whether nothing may happen to it any more."""
        return self.status in TERMINAL


def row(order: Order, delivered: int = 0, captured: int = 0, released: int = 0) -> bytes:
    """Return the order's row of `orders` in the form in which ledger.audit.write_side reads it."""
    terms = order.terms
    reference = terms.reference
    return b"%b %b %b" % (
        order.order_id,
        order.account_id,
        _encode(
            (
                order.placed_position,
                order.position,
                order.status,
                order.attempt,
                order.executor,
                order.code,
                delivered,
                captured,
                released,
                terms.product,
                terms.quantity,
                terms.unit_price,
                terms.list_amount_minor,
                terms.discount_percent,
                terms.amount_minor,
                terms.currency,
                MISSING if reference is None else reference.encode().hex(),
            )
        ),
    )


class RowSums:
    """Sums of the hashes of rows, by the position that the order was placed at: equal rows have equal sums.

    Python's hash of bytes is SipHash under a secret of the process, which a process that is forked shares: who wrote
    the rows cannot have chosen them for their sum.
    """

    def __init__(self) -> None:
        self.by_bucket: dict[int, int] = {}

    def add(self, placed_position: int, row: bytes) -> None:
        """Add a row."""
        bucket = placed_position >> BUCKET_BITS
        self.by_bucket[bucket] = self.by_bucket.get(bucket, 0) + hash(row)

    def add_order(self, order: Order, delivered: int = 0, captured: int = 0, released: int = 0) -> None:
        """Add the row of an order."""
        self.add(order.placed_position, row(order, delivered, captured, released))

    def merge(self, by_bucket: Mapping[int, int]) -> None:
        """Add another's sums."""
        for bucket, amount in by_bucket.items():
            self.by_bucket[bucket] = self.by_bucket.get(bucket, 0) + amount


def place(order_id: bytes, account_id: bytes, terms: Any, position: int) -> Order:
    """Return a new order. Raises Found when its amounts are not its price."""
    try:
        listed_by, listed_over, paid_by, paid_over = _factors(terms.unit_price, terms.discount_percent, terms.currency)
    except BadMoney as error:
        raise Found(position, f"the order's price: {error}") from None
    quantity = terms.quantity
    listed = (listed_by * quantity + listed_over) // (2 * listed_over)
    amount = (paid_by * quantity + paid_over) // (2 * paid_over)
    if listed != terms.list_amount_minor or amount != terms.amount_minor or not 0 < amount <= listed or quantity <= 0:
        raise Found(position, f"the price comes to {listed} before and {amount} after the discount")
    return Order(order_id, account_id, terms, position, position)


@lru_cache(maxsize=4_096)
def _factors(unit_price: str, percent: str, code: str) -> tuple[int, int, int, int]:
    """Return what one piece costs in minor units before and after the discount: twice the numerator, denominator.

    With them, (numerator × quantity + denominator) // (2 × denominator) is the amount rounded half up.
    """
    scaled = parse_decimal(unit_price, integer_digits_max=12, decimals_max=UNIT_PRICE_DECIMALS)
    share = parse_decimal(percent, integer_digits_max=3, decimals_max=PERCENT_DECIMALS)
    listed = Fraction(scaled * 10 ** currency(code).exponent, 10**UNIT_PRICE_DECIMALS)
    paid = listed * Fraction(share, 100 * 10**PERCENT_DECIMALS)
    return 2 * listed.numerator, listed.denominator, 2 * paid.numerator, paid.denominator


Step = Callable[[Order, Any, int], tuple[int, int, int]]
"""Takes an order on; returns what was delivered, captured and released, zeros while it is open. Raises Found."""
NOTHING = (0, 0, 0)


def _start(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    if order.status not in (PLACED, EXECUTING):
        raise Found(position, f"the order is started while {order.status}")
    if content.attempt != order.attempt + 1:
        raise Found(position, f"attempt {content.attempt} follows attempt {order.attempt}")
    order.status, order.attempt, order.executor = EXECUTING, content.attempt, content.executor
    return NOTHING


def _complete(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    if order.status != EXECUTING:
        raise Found(position, f"the order is completed while {order.status}")
    order.status = COMPLETED
    return _captured(order, content, position)


def _fail(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    _must_be(order, EXECUTING, "failed", position)
    if content.released_minor != order.terms.amount_minor:
        raise Found(position, f"{content.released_minor} released of a hold of {order.terms.amount_minor}")
    order.status, order.code = FAILED, content.code
    return 0, 0, content.released_minor


def _cancel(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    if order.status == PLACED:
        if content.delivered or content.confirmed_by_executor is not None:
            raise Found(position, "the order was never started, and its cancellation says what was delivered")
    else:
        _must_be(order, EXECUTING, "cancelled", position)
        if content.confirmed_by_executor is not True:
            raise Found(position, "the order was started, and its cancellation is not confirmed by the executor")
    order.status = CANCELLED
    return _captured(order, content, position)


def _park(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    if order.status not in (PLACED, EXECUTING):
        raise Found(position, f"the order is parked while {order.status}")
    order.status, order.code = NEEDS_REVIEW, content.code
    return NOTHING


def _resolve(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    _must_be(order, NEEDS_REVIEW, "resolved", position)
    if content.resolution not in RESOLUTIONS:
        raise Found(position, f"the resolution is {content.resolution!r}")
    order.status = content.resolution
    return _captured(order, content, position)


def _must_be(order: Order, status: str, event: str, position: int) -> None:
    if order.status != status:
        raise Found(position, f"the order is {event} while {order.status}")


def _captured(order: Order, content: Any, position: int) -> tuple[int, int, int]:
    hold, quantity, delivered = order.terms.amount_minor, order.terms.quantity, content.delivered
    captured, released = content.captured_minor, content.released_minor
    if captured + released != hold:
        raise Found(position, f"{captured} captured and {released} released of a hold of {hold}")
    if not 0 <= delivered <= quantity or captured != capture(hold, delivered, quantity):
        raise Found(position, f"{captured} captured of {hold} for {delivered} of {quantity}")
    return delivered, captured, released


def capture(hold: int, delivered: int, quantity: int) -> int:
    """Return what a delivery in part captures of a hold, rounded half up."""
    return (2 * hold * delivered + quantity) // (2 * quantity)


STEPS: dict[str, Step] = {
    "order.started": _start,
    "order.completed": _complete,
    "order.failed": _fail,
    "order.cancelled": _cancel,
    "order.parked": _park,
    "order.resolved": _resolve,
}
