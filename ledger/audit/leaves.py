"""Leaf hashes of whole pages of rows, as fast as Python does it.

The frame is that of ledger.leaf, which says what it is; a test holds the two against each other.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence
from hashlib import sha256

from ledger.audit.reading import Row
from ledger.leaf import LABEL, leaf_hash

_LENGTH = [length.to_bytes(4, "big") for length in range(8_192)]
"""The frame's length fields; a longer value takes the plain way."""
_MISSING = b"\xff\xff\xff\xff"
_L16, _L32 = _LENGTH[16], _LENGTH[32]
_begin = sha256(b"\x00" + LABEL).copy
"""Copying a hash that has begun costs half of what beginning one does."""


def first_wrong(rows: Sequence[Row]) -> int | None:
    """Return the index of the first row whose leaf hash is not that of its bytes."""
    # One tuple and one join a row: every value behind its length, in the order of LEAF_FIELDS.
    length = _LENGTH
    for index, (
        position, event_id, account, version, type_name, schema, order, actor, key,
        correlation, causation, time, available, held, details, data, postings, stored,
    ) in enumerate(rows):  # fmt: skip
        key = unhexlify(key)
        try:
            leaf = (
                length[len(position)], position, _L16, unhexlify(event_id), length[len(account)], account,
                length[len(version)], version, length[len(type_name)], type_name, length[len(schema)], schema,
                length[len(order)] if order else _MISSING, order or b"", length[len(actor)], actor,
                length[len(key)], key, length[len(correlation)], correlation,
                length[len(causation)] if causation else _MISSING, causation or b"", length[len(time)], time,
                length[len(available)], available, length[len(held)], held,
                _L32 if details else _MISSING, unhexlify(details) if details else b"",
                length[len(data)], data, length[len(postings)], postings,
            )  # fmt: skip
        except IndexError:
            if plain_hash(rows[index]) != unhexlify(stored):
                return index
            continue
        hash_ = _begin()
        hash_.update(b"".join(leaf))
        if hash_.digest() != unhexlify(stored):
            return index
    return None


def plain_hash(row: Row) -> bytes:
    """Return the leaf hash of a row, whatever lengths its values have."""
    return leaf_hash(plain_bytes(row))


def plain_bytes(row: Row) -> bytes:
    """Return the bytes of a row's leaf."""
    values = list(row[:17])
    for index in (6, 10, 14):
        values[index] = values[index] or None
    for index in (1, 8, 14):
        values[index] = None if values[index] is None else unhexlify(values[index])
    return LABEL + b"".join(_MISSING if each is None else len(each).to_bytes(4, "big") + each for each in values)
