"""What every format's writer does, what is said of an export as a whole, and the refusal of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ledger.errors import LedgerError
from ledger.exporting.events import ExportedEvent
from ledger.exporting.source import Source
from ledger.exporting.totals import Totals


@dataclass(eq=False, kw_only=True)
class ExportRefused(LedgerError):
    """The range, the format or the file is not fit for it."""

    code = "export-refused"
    message = "{problem}"
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Which positions an export holds, of a log that ended at `head` when it was made."""

    first: int
    last: int
    head: int
    created_at: str


class Writer(Protocol):
    """Writes one format to a file. Raises CannotTell, ExportRefused."""

    def begin(self, extent: Extent) -> None:
        """Write what comes before the first event."""

    def take(self, events: Sequence[ExportedEvent]) -> None:
        """Write the next events."""

    def end(self, totals: Totals) -> None:
        """Write what comes after the last event."""

    def close(self) -> None:
        """Let go of what is open, also after a failure; the file is the caller's to close."""
        return


MakeWriter = Callable[[BinaryIO, Source], Writer]
