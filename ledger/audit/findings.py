"""What an audit comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import LedgerError

CLEAN = "clean"
TAMPERED = "tampered"
CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """The first position where something is wrong, and what."""

    position: int
    words: str


class Found(Exception):
    """Something is wrong at a position of the log."""

    def __init__(self, position: int, words: str) -> None:
        super().__init__(position, words)
        self.finding = Finding(position, words)


@dataclass(eq=False, kw_only=True)
class CannotTell(LedgerError):
    """The audit could not see what it must see."""

    code = "cannot-tell"
    message = "{problem}"
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict over `events` events. `finding` says in words what is wrong, or why nobody can tell.

    `server`: where the log was read, and which replicas could not be.
    """

    status: str
    events: int
    first_bad_position: int | None
    finding: str | None
    checked: Sequence[str]
    seconds: float
    server: str = ""
