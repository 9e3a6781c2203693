"""An event as exports have it: every field that its leaf is hashed from, as stored, and the leaf hash."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence

import msgspec

from ledger.audit.findings import CannotTell
from ledger.audit.reading import Row


class ExportedEvent(msgspec.Struct, gc=False):
    """The fields of a leaf in their order, and its hash. Binary values are hexadecimal; the idempotency key, `data` and
    `postings` are the text of the stored bytes.
    """

    position: int
    event_id: str
    account_id: str
    version: int
    type: str
    schema_version: int
    order_id: str | None
    actor: str
    idempotency_key: str
    correlation_id: str
    causation_id: str | None
    recorded_at_us: int
    available_minor: int
    held_minor: int
    details_hash: str | None
    data: str
    postings: str
    leaf_hash: str


class Leg(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A posting: `amount_minor` on a ledger account."""

    account: str
    amount_minor: int
    currency: str


_decode_legs = msgspec.json.Decoder(list[Leg]).decode


def exported(row: Row) -> ExportedEvent:
    """Return a row as an event. Raises CannotTell for what the ledger never writes: it could not be exported as it is."""
    (
        position, event_id, account, version, type_name, schema, order, actor, key,
        correlation, causation, time, available, held, details, data, postings, leaf,
    ) = row  # fmt: skip
    try:
        return ExportedEvent(
            int(position),
            event_id.decode().lower(),
            account.decode(),
            int(version),
            type_name.decode(),
            int(schema),
            _maybe(order),
            actor.decode(),
            unhexlify(key).decode(),
            correlation.decode(),
            _maybe(causation),
            int(time),
            int(available),
            int(held),
            details.decode().lower() if details else None,
            data.decode(),
            postings.decode(),
            leaf.decode().lower(),
        )
    except ValueError:
        raise broken(position.decode("ascii", "replace")) from None


def legs(event: ExportedEvent) -> Sequence[Leg]:
    """Return the event's postings. Raises CannotTell."""
    if event.postings == "[]":
        return ()
    try:
        return _decode_legs(event.postings)
    except msgspec.DecodeError:
        raise broken(event.position) from None


def broken(position: int | str) -> CannotTell:
    """Return the error for an event that is not what the ledger writes."""
    return CannotTell(
        problem=f"the event at position {position} is not as the ledger writes it, or is missing; run "
        "`orderledger audit verify`, which says what is wrong"
    )


def _maybe(text: bytes | None) -> str | None:
    # A stored text that is empty is read as a zero byte.
    return None if not text else "" if text == b"\0" else text.decode()
