"""Cursors of lists: the place after which to go on, sealed with a digest of list, filter and order.

A cursor is no secret and proves no right: whoever may ask the question may continue it anywhere. The digest makes it
fit no other question, and the seal finds what was altered or cut.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Protocol

from ledger.codec import canonical_json
from ledger.directory.errors import BadListCursor

LENGTH_MAX = 4_096
_DIGEST_BYTES = 12
_INTEGER_MAX = 2**63 - 1


class _Kind(Protocol):
    @property
    def stored(self) -> type: ...


class SortedBy(Protocol):
    """What must be known of a field that a list is ordered by."""

    @property
    def kind(self) -> _Kind:
        """Its kind, with the type of its stored values."""

    @property
    def nullable(self) -> bool:
        """Whether it can be null."""


def digest(question: Any) -> bytes:
    """Return what a list, its filter and its order are recognised by."""
    return sha256(canonical_json(question)).digest()[:_DIGEST_BYTES]


def sealed(digest: bytes, values: Sequence[Any]) -> str:
    """Return the cursor of the row with these values of the sort fields."""
    place = json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_seal(digest, place) + place).decode().rstrip("=")


def opened(cursor: str, digest: bytes, fields: Sequence[SortedBy]) -> tuple[Any, ...]:
    """Return the place that a cursor names. Raises BadListCursor when it is not one of this question."""
    try:
        if len(cursor) > LENGTH_MAX:
            raise ValueError
        content = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seal, place = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if seal != _seal(digest, place):
            raise ValueError
        values = json.loads(place)
        if not isinstance(values, list) or not all(map(_fits, fields, values)) or len(values) != len(fields):
            raise ValueError
    except (ValueError, binascii.Error, RecursionError):
        raise BadListCursor() from None
    return tuple(values)


def is_storable(text: str) -> bool:
    """Say whether a database can take the text: no lone surrogates, no NUL."""
    return not any(0xD800 <= ord(letter) <= 0xDFFF or letter == "\0" for letter in text)


def _seal(digest: bytes, place: bytes) -> bytes:
    return sha256(digest + place).digest()[:_DIGEST_BYTES]


def _fits(field: SortedBy, value: Any) -> bool:
    if value is None:
        return field.nullable
    if isinstance(value, str):
        return field.kind.stored is str and is_storable(value)
    return type(value) is int and field.kind.stored is int and abs(value) <= _INTEGER_MAX
