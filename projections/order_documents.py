"""An order as the read model stores it: one line of text, short, and cheap to compare in Lua.

The first six fields are what searches compare: status, account, product, amount, order and placed position. The last,
after ``=``, is the reference: ``=<reference>``, or ``<bytes of it>=<reference><folded reference>`` when lower-casing
ASCII does not fold it.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import NamedTuple

from ledger.orders import CANCELLED, COMPLETED, EXECUTING, FAILED, NEEDS_REVIEW, PLACED, Order

STATUS_CODES = {PLACED: "p", EXECUTING: "e", COMPLETED: "c", FAILED: "f", CANCELLED: "x", NEEDS_REVIEW: "r"}
_STATUSES = {code: status for status, code in STATUS_CODES.items()}
ACCOUNT_PREFIX, ORDER_PREFIX = "cus_", "ord_"
_OTHER = "~"
"""Marks an id of another form; the short form of an id never begins with it."""
_DIGITS = re.compile("[0-9a-f]{32}")
_SHORT_LENGTH = 22
SHORTENED_MAX = 8_192
"""Ids whose short form is remembered: customers come again and again, and an order's steps follow each other."""
_ALL, _NOTHING = "*", "-"
_FIELDS = 18


class OrderDocument(NamedTuple):
    """An order with its number (1, 2, 3 … in placing order) and the times of its first and last event."""

    number: int
    order: Order
    placed_at_us: int
    updated_at_us: int


def encode(document: OrderDocument) -> str:
    """Return the document as stored. Raises ValueError when a field does not fit."""
    order = document.order
    line = (
        f"{STATUS_CODES[order.status]},{shortened(order.account_id, ACCOUNT_PREFIX)},{order.product},"
        f"{order.amount_minor},{shortened(order.order_id, ORDER_PREFIX)},{order.placed_position},"
        f"{order.position - order.placed_position},{order.quantity},{order.unit_price},"
        f"{_or_empty(order.list_amount_minor, order.amount_minor)},{_or_empty(order.discount_percent, '100')},"
        f"{order.currency},{_or_empty(order.attempt, 0)},{order.executor or ''},{_end(order)},{order.code or ''},"
        f"{document.placed_at_us:x},{document.updated_at_us - document.placed_at_us:x}"
    )
    # Identifiers are tokens and the rest are numbers: a separator among them means that something else came in.
    if line.count(",") != _FIELDS - 1 or "=" in line:
        raise ValueError("a field holds a separator")
    if order.reference is None:
        return line
    compared = folded(order.reference)
    if compared == order.reference.encode().lower().decode():
        return f"{line}=={order.reference}"
    return f"{line}={len(order.reference.encode())}={order.reference}{compared}"


def decode(number: int, line: str) -> OrderDocument:
    """Return the document as it was stored. Raises ValueError or KeyError for a damaged one."""
    head, separator, tail = line.partition("=")
    fields = head.split(",")
    if len(fields) != _FIELDS:
        raise ValueError("a document has another number of fields")
    status, account, product, amount, order_id, placed, later, many, unit_price, listed, percent = fields[:11]
    currency, attempt, executor, end, code, placed_at, updated = fields[11:]
    length, _, texts = tail.partition("=")
    reference = (texts.encode()[: int(length)].decode() if length else texts) if separator else None
    placed_position, placed_at_us = int(placed), int(placed_at, 16)
    amount_minor, quantity = int(amount), int(many)
    order = Order(
        restored(order_id, ORDER_PREFIX),
        restored(account, ACCOUNT_PREFIX),
        _STATUSES[status],
        product,
        quantity,
        unit_price,
        int(listed) if listed else amount_minor,
        percent or "100",
        amount_minor,
        currency,
        reference,
        int(attempt or 0),
        executor or None,
        *_of_end(end, amount_minor, quantity),
        code or None,
        placed_position,
        placed_position + int(later),
    )
    return OrderDocument(number, order, placed_at_us, placed_at_us + int(updated, 16))


@lru_cache(SHORTENED_MAX)
def shortened(identifier: str, prefix: str) -> str:
    """Return an id in as few characters as its 16 bytes need, if it is a prefix and 32 hexadecimal digits."""
    digits = identifier[len(prefix) :]
    if identifier.startswith(prefix) and _DIGITS.fullmatch(digits):
        return b2a_base64(bytes.fromhex(digits), newline=False)[:_SHORT_LENGTH].decode()
    return _OTHER + identifier


@lru_cache(SHORTENED_MAX)
def restored(short: str, prefix: str) -> str:
    """Undo `shortened`."""
    return short[1:] if short.startswith(_OTHER) else prefix + a2b_base64(short + "==").hex()


def _or_empty(value: object, usual: object) -> object:
    return "" if value == usual else value


def _end(order: Order) -> str:
    """Return how much was delivered, captured and released; all, nothing and not yet are one character or none."""
    end = (order.delivered, order.captured_minor, order.released_minor)
    if end == (0, 0, 0):
        return ""
    if end == (order.quantity, order.amount_minor, 0):
        return _ALL
    return _NOTHING if end == (0, 0, order.amount_minor) else ":".join(map(str, end))


def _of_end(text: str, amount_minor: int, quantity: int) -> tuple[int, int, int]:
    if text == _ALL:
        return quantity, amount_minor, 0
    if not text:
        return 0, 0, 0
    if text == _NOTHING:
        return 0, 0, amount_minor
    delivered, captured_minor, released_minor = map(int, text.split(":"))
    return delivered, captured_minor, released_minor


def folded(text: str) -> str:
    """Return the form in which texts are compared: without regard to case."""
    return text.casefold()
