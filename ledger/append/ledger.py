"""The ledger's front: submit commands, alone or in batches, and get their outcomes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from ledger import state, tracing
from ledger.accounts import Account
from ledger.append import loading
from ledger.append.committer import Committer
from ledger.append.entry import Unit, prepare
from ledger.append.group import Stored, decide_group
from ledger.append.waiting import CUT_OFF, Ticket
from ledger.clock import now_us
from ledger.database import url_of
from ledger.errors import LedgerError, NothingRecorded, OutcomeUnknown, ReadUnavailable
from ledger.figures import REFUSED, UNSETTLED, Statistics
from ledger.reading import read
from ledger.settings import LedgerSettings
from ledger.submission import Outcome, Submission


class Ledger:
    """The one writer of the log in this process; thread-safe.

    `engine` serves reads; the committer has a connection of its own to the same URL. `after_commit` is called with
    the new head on the committer's thread and must only set a flag.
    """

    def __init__(
        self, engine: sa.Engine, settings: LedgerSettings, *, after_commit: Callable[[int], None] | None = None
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._after_commit = after_commit
        self._starting = threading.Lock()
        self._committer: Committer | None = None
        self._process = 0

    def append(self, submission: Submission) -> Outcome:
        """Decide and commit one command and return its outcome, a stored one when it is a repeat.

        Raises NothingRecorded or OutcomeUnknown when the database cannot settle it in time.
        """
        return self._outcomes(Unit([prepare(submission)], atomic=False))[0]

    def append_batch(self, submissions: Sequence[Submission], *, atomic: bool) -> list[Outcome]:
        """Decide and commit commands in order and return one outcome each.

        Atomic: one commit, all take effect or none. Otherwise they are committed in slices of `append_group_max`; a
        slice that the database cannot settle has NothingRecorded or OutcomeUnknown as its outcomes' error, and of those
        behind it nothing is recorded.
        """
        if not submissions:
            return []
        if atomic:
            return self._outcomes(Unit([prepare(each) for each in submissions], atomic=True))
        outcomes: list[Outcome] = []
        before: tuple[Ticket | LedgerError, int] | None = None
        step = self._settings.append_group_max
        for start in range(0, len(submissions), step):
            # While one slice is committed the next is made ready.
            entries = [prepare(each) for each in submissions[start : start + step]]
            ticket = self._submitted(Unit(entries, atomic=False), None if before is None else before[0])
            if before is not None:
                outcomes += self._slice_outcomes(*before)
            before = ticket, len(entries)
        return outcomes if before is None else outcomes + self._slice_outcomes(*before)

    def dry_run(self, submissions: Sequence[Submission], *, atomic: bool = False) -> list[Outcome]:
        """Return the outcomes that would be, recording nothing."""
        entries = [prepare(submission) for submission in submissions]
        mysql = self._engine.dialect.name != "sqlite"
        reads = loading.reading(entries, mysql=mysql)
        head, *rows = read(
            self._engine,
            lambda connection: [
                connection.exec_driver_sql(text).fetchall()
                for text in (loading.locking(lock=False, mysql=mysql), *reads.values())
            ],
        )
        found = loading.loaded(head, dict(zip(reads, rows, strict=True)))
        plan = decide_group([Unit(entries, atomic=atomic)], found, now_us())
        return self._hydrated(plan.answers[0])

    def accounts(self, account_ids: Sequence[str]) -> dict[str, Account]:
        """Return the accounts with these ids as they are now. Raises ReadUnavailable."""
        return read(self._engine, lambda connection: state.accounts_by_id(connection, account_ids))

    @property
    def statistics(self) -> Statistics:
        """What the committer did so far, for metrics."""
        committer = self._committer
        return Statistics() if committer is None else committer.statistics

    @property
    def waiting(self) -> int:
        """How many commands wait to be committed."""
        committer = self._committer
        return 0 if committer is None else committer.waiting

    def close(self) -> None:
        """Commit what waits and stop; later commands are refused."""
        if self._committer is not None and self._process == os.getpid():
            self._committer.close()

    def _running(self) -> Committer:
        # A forked child has no committer thread: it starts its own.
        if self._process != os.getpid():
            with self._starting:
                if self._process != os.getpid():
                    url = url_of(self._engine)
                    self._committer = Committer(url, self._settings, self._after_commit)
                    self._process = os.getpid()
        if self._committer is None:
            raise RuntimeError("the committer did not start")
        return self._committer

    def _outcomes(self, unit: Unit) -> list[Outcome]:
        committer = self._running()
        try:
            with tracing.span("ledger.append", commands=len(unit.entries)):
                return self._counted(committer.answers_of(committer.submit(unit)))
        except LedgerError as error:
            UNSETTLED.labels(error.code).inc(len(unit.entries))
            raise

    def _submitted(self, unit: Unit, after: Ticket | LedgerError | None) -> Ticket | LedgerError:
        if isinstance(after, LedgerError):
            return NothingRecorded(reason=CUT_OFF)
        try:
            return self._running().submit(unit, after)
        except LedgerError as error:
            return error

    def _slice_outcomes(self, ticket: Ticket | LedgerError, size: int) -> list[Outcome]:
        try:
            if isinstance(ticket, LedgerError):
                raise ticket
            return self._counted(self._running().answers_of(ticket))
        except LedgerError as error:
            UNSETTLED.labels(error.code).inc(size)
            return [Outcome(position=0, error=error) for _ in range(size)]

    def _counted(self, answers: Sequence[Outcome | Stored]) -> list[Outcome]:
        outcomes = self._hydrated(answers)
        for outcome in outcomes:
            if outcome.error is not None:
                REFUSED.labels(outcome.error.code).inc()
        return outcomes

    def _hydrated(self, answers: Sequence[Outcome | Stored]) -> list[Outcome]:
        stored = [answer for answer in answers if isinstance(answer, Stored)]
        if not stored:
            return [answer for answer in answers if isinstance(answer, Outcome)]
        rows = [(each.digest, each.position, each.refusal) for each in stored]
        try:
            found = read(self._engine, lambda connection: state.outcomes_of(connection, rows))
        except ReadUnavailable as error:
            raise OutcomeUnknown(reason=error.reason) from error
        return [found[answer.digest] if isinstance(answer, Stored) else answer for answer in answers]
