"""The commands that wait for the committer: bounded, in order, and each with its caller's wait for the answers."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue

from ledger import tracing
from ledger.append.entry import Unit
from ledger.append.group import Stored
from ledger.errors import LedgerError, NothingRecorded
from ledger.settings import LedgerSettings
from ledger.submission import Outcome

Answers = list[Outcome | Stored]
CUT_OFF = "a command that comes before it was not recorded"
"""Why nothing is recorded of what comes behind."""


class Ticket:
    """A unit that waits, and its caller's wait for the answers; it is decided only after the one that it comes `after`."""

    __slots__ = ("after", "answers", "came_at_s", "done", "is_abandoned", "is_taken", "trace", "unit")

    def __init__(self, unit: Unit, after: Ticket | None = None) -> None:
        self.unit = unit
        self.after = after
        self.came_at_s = time.monotonic()
        self.trace = tracing.here()
        self.is_taken = False
        self.is_abandoned = False
        self.answers: Answers | LedgerError | None = None
        self.done = threading.Lock()
        self.done.acquire()

    @property
    def is_cut_off(self) -> bool:
        """Whether what should have come before it surely did not, or may not have."""
        before = self.after
        return before is not None and (before.is_abandoned or isinstance(before.answers, LedgerError))

    def answer(self, answers: Answers | LedgerError) -> None:
        """Give the caller its answers and let it go on."""
        self.answers = answers
        self.done.release()


class Waiting:
    """Tickets in order. `add` and `abandon` may be called from any thread, `take` from the committer's only."""

    def __init__(self, settings: LedgerSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._queue: SimpleQueue[Ticket | None] = SimpleQueue()
        self._left: Ticket | None = None
        self._closing = False
        self.commands = 0
        """How many commands wait."""
        self.is_over = False
        """Whether everything was taken and nothing will come."""

    def add(self, ticket: Ticket) -> None:
        """Let a ticket wait. Raises NothingRecorded when too many do, or when the end has come."""
        size = len(ticket.unit.entries)
        with self._lock:
            if self._closing:
                raise NothingRecorded(reason="the service is stopping")
            if self.commands + size > self._settings.append_queue_max and self.commands > 0:
                raise NothingRecorded(reason="too many commands are waiting")
            self.commands += size
            self._queue.put(ticket)

    def abandon(self, ticket: Ticket) -> None:
        """Wait no longer. Raises NothingRecorded unless the committer has the ticket already."""
        with self._lock:
            if not ticket.is_taken:
                ticket.is_abandoned = True
                raise NothingRecorded(reason="the ledger did not get to it in time")

    def close(self) -> None:
        """Let nothing more wait."""
        with self._lock:
            self._closing = True
            self._queue.put(None)

    def is_empty(self) -> bool:
        """Say whether nothing waits."""
        return self._left is None and self._queue.empty()

    def take_first(self) -> list[Ticket]:
        """Wait for something and take what waits then, up to a group; nothing when the end has come."""
        if self._left is None:
            self._left = self._queue.get()
            if self._left is None:
                self.is_over = True
                return []
        return self.take()

    def take(self) -> list[Ticket]:
        """Take what waits, up to a group."""
        taken: list[Ticket] = []
        size = 0
        with self._lock:
            ticket, self._left = self._left, None
            while ticket is not None or not self._queue.empty():
                if ticket is None:
                    ticket = self._queue.get_nowait()
                if ticket is None:
                    self.is_over = True
                    break
                more = len(ticket.unit.entries)
                if taken and size + more > self._settings.append_group_max:
                    self._left = ticket
                    break
                self.commands -= more
                if not ticket.is_abandoned:
                    ticket.is_taken = True
                    taken.append(ticket)
                    size += more
                ticket = None
        return taken
