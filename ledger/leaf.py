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
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))
"""The framed lengths of what is never longer, made once."""


def leaf_bytes(
    position: int,
    event_id: bytes,
    account_id: str,
    version: int,
    type_name: str,
    schema_version: int,
    order_id: str | None,
    actor: str,
    idempotency_key: bytes,
    correlation_id: str,
    causation_id: str | None,
    recorded_at_us: int,
    available_minor: int,
    held_minor: int,
    details_hash: bytes | None,
    data: bytes,
    postings: bytes,
) -> bytes:
    """Frame the values of LEAF_FIELDS. Texts and the key have up to 255 bytes."""
    # Field by field and not in a loop: this is done for every event, while others wait for the log's head.
    lengths = _LENGTHS
    account, kind = account_id.encode(), type_name.encode()
    who, correlation = actor.encode(), correlation_id.encode()
    place, place_in_stream, schema = b"%d" % position, b"%d" % version, b"%d" % schema_version
    time, available, held = b"%d" % recorded_at_us, b"%d" % available_minor, b"%d" % held_minor
    return b"".join((
        LABEL,
        lengths[len(place)], place,
        lengths[len(event_id)], event_id,
        lengths[len(account)], account,
        lengths[len(place_in_stream)], place_in_stream,
        lengths[len(kind)], kind,
        lengths[len(schema)], schema,
        _MISSING if order_id is None else _framed(order_id.encode()),
        lengths[len(who)], who,
        lengths[len(idempotency_key)], idempotency_key,
        lengths[len(correlation)], correlation,
        _MISSING if causation_id is None else _framed(causation_id.encode()),
        lengths[len(time)], time,
        lengths[len(available)], available,
        lengths[len(held)], held,
        _MISSING if details_hash is None else _framed(details_hash),
        _framed(data),
        _framed(postings),
    ))  # fmt: skip


def leaf_fields(leaf: bytes) -> list[bytes | None]:
    """Return the values of LEAF_FIELDS of framed bytes. Raises ValueError."""
    at, found = len(LABEL), list[bytes | None]()
    if not leaf.startswith(LABEL):
        raise ValueError("these are not the bytes of an event")
    for _ in LEAF_FIELDS:
        length = leaf[at : at + 4]
        at += 4
        if length == _MISSING:
            found.append(None)
            continue
        value = leaf[at : at + int.from_bytes(length, "big")]
        at += len(value)
        found.append(value)
        if len(length) != 4 or len(value) != int.from_bytes(length, "big"):
            raise ValueError("the bytes of the event are cut")
    if at != len(leaf):
        raise ValueError("the event's bytes have something behind them")
    return found


def _framed(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def leaf_hash(leaf: bytes) -> bytes:
    """Return the Merkle leaf hash of framed bytes."""
    return sha256(b"\x00" + leaf).digest()


def details_hash(salt: bytes, details: bytes) -> bytes:
    """Return the commitment to an event's free text: SHA-256 over its random salt and its canonical JSON."""
    return sha256(salt + details).digest()
