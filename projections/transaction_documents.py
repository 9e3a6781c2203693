"""A transaction as the read model stores it: one line of text, short, and cheap to compare in Lua.

The first five fields are what searches compare: type, account, order, amount and position. The last, after ``=``, is
the reference: ``=<reference>``, or ``<bytes of it>=<reference><folded reference>`` when lower-casing ASCII does not
fold it.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache

from ledger.events import (
    DeductionPosted,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    OrderPlaced,
    OrderResolved,
    RechargePosted,
    TransactionReversed,
)
from ledger.log import Excerpt
from projections.order_documents import ACCOUNT_PREFIX, ORDER_PREFIX, folded, restored, shortened

TYPE_CODES = {
    RechargePosted.TYPE: "r",
    DeductionPosted.TYPE: "d",
    TransactionReversed.TYPE: "v",
    OrderPlaced.TYPE: "p",
    OrderCompleted.TYPE: "c",
    OrderCancelled.TYPE: "x",
    OrderFailed.TYPE: "f",
    OrderResolved.TYPE: "s",
}
"""The types of events that move money."""
TYPES_BY_CODE = {code: name for name, code in TYPE_CODES.items()}
CAPTURING = frozenset({TYPE_CODES[OrderCompleted.TYPE], TYPE_CODES[OrderResolved.TYPE]})
"""Codes of the types of which the amount that counts is what was captured."""
SIGNS = {
    "r": (1, 0),
    "d": (-1, 0),
    "v": (1, 0),
    "p": (-1, 1),
    "c": (0, -1),
    "x": (1, -1),
    "f": (1, -1),
    "s": (0, -1),
}
"""What a transaction of a type usually does to available and held money, in terms of its amount."""
_PACKED = "*"
"""Marks a name whose 32 hexadecimal digits at the end are packed; no actor and no request begins with it."""
_DIGITS = re.compile("_[0-9a-f]{32}")
_DIGITS_LENGTH = 32
_PACKED_LENGTH = 22
_PACKED_MAX = 4_096
_FIELDS = 14


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


def encode(
    event: Excerpt, available: int, held: int, currency: str, reference: str | None, reverses_position: int | None
) -> str:
    """Return the document of an event that changed available and held money by so much.

    Raises ValueError when a field does not fit.
    """
    code = TYPE_CODES[event.type]
    amount = max(abs(available), abs(held))
    signs = SIGNS[code]
    changes = "" if available == signs[0] * amount and held == signs[1] * amount else f"{available}:{held}"
    line = (
        f"{code},{shortened(event.account_id, ACCOUNT_PREFIX)},"
        f"{'' if event.order_id is None else shortened(event.order_id, ORDER_PREFIX)},{amount},{event.position},"
        f"{event.version},{changes},{event.available_minor},{event.held_minor or ''},{event.recorded_at_us:x},"
        f"{_packed_again(event.actor)},{_packed(event.correlation_id)},{currency},{reverses_position or ''}"
    )
    # Identifiers are tokens and the rest are numbers: a separator among them means that something else came in.
    if line.count(",") != _FIELDS - 1 or "=" in line:
        raise ValueError("a field holds a separator")
    if reference is None:
        return line
    if reference.isascii() or (compared := folded(reference)) == reference.encode().lower().decode():
        return f"{line}=={reference}"
    return f"{line}={len(reference.encode())}={reference}{compared}"


def decode(line: str, reversed_by: int | None) -> Transaction:
    """Return the transaction as it was stored. Raises ValueError or KeyError for a damaged one."""
    head, separator, tail = line.partition("=")
    fields = head.split(",")
    if len(fields) != _FIELDS:
        raise ValueError("a document has another number of fields")
    length, _, texts = tail.partition("=")
    reference = (texts.encode()[: int(length)].decode() if length else texts) if separator else None
    code, amount = fields[0], int(fields[3])
    changes = fields[6].split(":") if fields[6] else [sign * amount for sign in SIGNS[code]]
    return Transaction(
        position=int(fields[4]),
        account_id=restored(fields[1], ACCOUNT_PREFIX),
        version=int(fields[5]),
        type=TYPES_BY_CODE[code],
        order_id=restored(fields[2], ORDER_PREFIX) if fields[2] else None,
        actor=_unpacked(fields[10]),
        correlation_id=_unpacked(fields[11]),
        recorded_at_us=int(fields[9], 16),
        amount_minor=amount,
        available_change_minor=int(changes[0]),
        held_change_minor=int(changes[1]),
        available_minor=int(fields[7]),
        held_minor=int(fields[8] or 0),
        currency=fields[12],
        reference=reference,
        reverses_position=int(fields[13]) if fields[13] else None,
        reversed_by=reversed_by,
    )


def _packed(name: str) -> str:
    """Return a name in less characters if it ends in 16 bytes as hexadecimal digits."""
    at = len(name) - _DIGITS_LENGTH
    if at < 1 or _DIGITS.fullmatch(name, at - 1) is None:
        return name
    digits = b2a_base64(bytes.fromhex(name[at:]), newline=False)[:_PACKED_LENGTH].decode()
    return f"{_PACKED}{name[:at]}{digits}"


_packed_again = lru_cache(_PACKED_MAX)(_packed)
"""The same for names that come again and again, as actors do."""


def _unpacked(text: str) -> str:
    if not text.startswith(_PACKED):
        return text
    return text[1:-_PACKED_LENGTH] + a2b_base64(text[-_PACKED_LENGTH:] + "==").hex()
