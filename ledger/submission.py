"""A command on its way into the ledger, and what comes back: submission and outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, get_args

from ledger.codec import FlatEncoder, canonical_json
from ledger.commands import Command, content
from ledger.errors import LedgerError
from ledger.events import Recorded
from ledger.ids import is_token
from ledger.orders import Order

IDEMPOTENCY_KEY_BYTES_MAX = 255


_CONTENT_ENCODERS = {each: FlatEncoder(content(each), with_nulls=True) for each in get_args(Command)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A command with who asks, under which idempotency key, for which request; `details` is erasable free text.

    Raises ValueError for an actor, correlation or causation id that is not a token, or a key that is empty or too long.
    """

    command: Command
    actor: str
    idempotency_key: str
    correlation_id: str
    causation_id: str | None = None
    details: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not (is_token(self.actor) and is_token(self.correlation_id)):
            raise ValueError("actor and correlation_id must be tokens")
        if self.causation_id is not None and not is_token(self.causation_id):
            raise ValueError("causation_id must be a token")
        if not 1 <= len(self.idempotency_key.encode("utf-8")) <= IDEMPOTENCY_KEY_BYTES_MAX:
            raise ValueError(f"an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes")

    def fingerprint(self) -> bytes:
        """Return SHA-256 over the canonical JSON of what was asked, facts and erasable details left out.

        It is kept for ever, so it must not let anybody find out by guessing what was erased.
        """
        return self._fingerprint(b"null")

    def fingerprint_with_details(self) -> bytes:
        """Return what was kept until erasable details were left out."""
        return self._fingerprint(b"null" if self.details is None else canonical_json(self.details))

    def _fingerprint(self, details: bytes) -> bytes:
        asked = _CONTENT_ENCODERS[type(self.command)].text(self.command).encode("utf-8")
        return sha256(b"[%b,%b]" % (asked, details)).digest()


class Balance(NamedTuple):
    """An account's money right after an event: `version` and `position` are that event's."""

    available_minor: int
    held_minor: int
    currency: str
    version: int
    position: int

    @property
    def total_minor(self) -> int:
        """Available and held together."""
        return self.available_minor + self.held_minor


class Outcome(NamedTuple):
    """What a command led to.

    `error` is None when it was accepted; a Refused is stored and final, other errors are not. `event` is None also
    when the command was already fulfilled. `order` and `balance` are as right after the event. `position` is the
    event's, or the head it was decided at.
    """

    position: int
    replayed: bool = False
    error: LedgerError | None = None
    event: Recorded | None = None
    order: Order | None = None
    balance: Balance | None = None
    details: Mapping[str, Any] | None = None


def key_digest(actor: str, idempotency_key: str) -> bytes:
    """Return what an outcome is stored under: SHA-256 over the actor, a zero byte and the key."""
    return sha256(f"{actor}\0{idempotency_key}".encode()).digest()
