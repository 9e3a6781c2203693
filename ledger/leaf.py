"""The exact bytes an event is hashed from, so that an outsider can recompute every leaf of the Merkle tree.

A leaf is the label below followed by the envelope's fields in the order of `LEAF_FIELDS`, each as a 4-byte
big-endian length and its bytes: integers as decimal ASCII, texts as UTF-8, bytes as they are; a missing field has
the length 0xFFFFFFFF and no bytes. The hash is SHA-256 over a zero byte and the leaf. Source: RFC 6962 section 2.1
(leaf prefix).
"""

from __future__ import annotations

from hashlib import sha256

LABEL = b"orderledger-leaf/v1"
LEAF_FIELDS = (
    "position",
    "event_id",
    "account_id",
    "version",
    "type",
    "schema_version",
    "order_id",
    "actor",
    "idempotency_key",
    "correlation_id",
    "causation_id",
    "recorded_at_us",
    "available_minor",
    "held_minor",
    "details_hash",
    "data",
    "postings",
)
_MISSING = b"\xff\xff\xff\xff"
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(1_024))
"""The framed lengths of nearly all values, made once."""


def leaf_bytes(*values: int | str | bytes | None) -> bytes:
    """Frame the values of LEAF_FIELDS, in that order."""
    parts = [LABEL]
    for value in values:
        if value is None:
            parts.append(_MISSING)
            continue
        if isinstance(value, bytes):
            raw = value
        elif isinstance(value, int):
            raw = b"%d" % value
        else:
            raw = value.encode("utf-8")
        length = len(raw)
        parts.append(_LENGTHS[length] if length < 1_024 else length.to_bytes(4, "big"))
        parts.append(raw)
    return b"".join(parts)


def leaf_hash(leaf: bytes) -> bytes:
    """Return the Merkle leaf hash of framed bytes."""
    return sha256(b"\x00" + leaf).digest()


def details_hash(salt: bytes, details: bytes) -> bytes:
    """Return the commitment to an event's free text: SHA-256 over its random salt and its canonical JSON."""
    return sha256(salt + details).digest()
