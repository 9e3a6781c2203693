"""The committer: one thread a process that takes all the commands that wait, decides and commits them together, and
answers.

It never lingers: while one group commits, the next one gathers. A group that fails is rolled back and tried again;
when the database objects to what it holds, its units are posted one by one, so that none fails for its neighbour. A
repeat always reads the stored outcomes first, so repeating after an error of unknown effect is safe; the head's
lock makes a late commit of a lost connection end before the repeat reads, and at another node of a cluster one of the
two commits fails for holding the same keys.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pymysql
import structlog

from ledger import tracing
from ledger.append import loading, statements
from ledger.append.entry import Entry, Unit
from ledger.append.group import Plan, Stored, decide_group
from ledger.append.session import Session
from ledger.append.trouble import Trouble, trouble_of
from ledger.append.waiting import CUT_OFF, Answers, Ticket, Waiting
from ledger.clock import now_us
from ledger.errors import LedgerError, NothingRecorded, OutcomeUnknown, Undecidable, UnsafeServer
from ledger.figures import Statistics, watch_writer
from ledger.settings import LedgerSettings
from ledger.submission import Outcome

_log = structlog.get_logger(__name__)

PAUSE_S_MIN, PAUSE_S_MAX = 0.005, 0.25
"""Bounds of the pause between two tries of a group, doubled each time, with jitter."""
GIVE_UP_S = 2.0
"""How long a group is tried when surely nothing was recorded."""
FAILOVER_S = 7.0
"""The same where another node may take over: that takes a cluster some seconds, and callers wait longer than this."""


class Committer:
    """The thread that commits what waits. `submit` and `answers_of` may be called from any thread."""

    def __init__(self, url: str, settings: LedgerSettings, after_commit: Callable[[int], None] | None) -> None:
        self._settings = settings
        self._session = Session(url, settings)
        self._give_up_s = FAILOVER_S if self._session.has_other_nodes else GIVE_UP_S
        self._locking = loading.locking(lock=True, mysql=self._session.mysql)
        self._after_commit = after_commit
        self._waiting = Waiting(settings)
        self._settled: list[tuple[Ticket, Answers]] = []
        self._unsafe: tuple[tuple[str, str], ...] = ()
        self._taken_at_s = 0.0
        self.statistics = Statistics()
        watch_writer(self)
        self._thread = threading.Thread(target=self._run, name="ledger-committer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many commands wait now."""
        return self._waiting.commands

    def submit(self, unit: Unit, after: Ticket | None = None) -> Ticket:
        """Let a unit wait, not to be recorded unless the one before it is. Raises NothingRecorded when it cannot."""
        ticket = Ticket(unit, after)
        self._waiting.add(ticket)
        return ticket

    def answers_of(self, ticket: Ticket) -> Answers:
        """Wait for a ticket's answers.

        Raises NothingRecorded when it was surely not recorded, OutcomeUnknown when that cannot be known in time.
        """
        if not ticket.done.acquire(timeout=self._settings.append_timeout_s):
            self._waiting.abandon(ticket)
        answers = ticket.answers
        if isinstance(answers, LedgerError):
            raise answers
        if answers is None:
            raise OutcomeUnknown(reason="the database did not answer in time")
        return answers

    def close(self) -> None:
        """Commit what waits, then stop."""
        self._waiting.close()
        self._thread.join(timeout=self._settings.append_timeout_s)
        self._session.discard()

    def _run(self) -> None:
        while not self._waiting.is_over:
            # With the head's lock on its way, the group is what waits once it is there.
            tickets = [] if self._session.is_locking else self._waiting.take_first()
            started = self._taken_at_s = time.monotonic()
            try:
                self._commit(tickets)
            except Exception:  # noqa: BLE001 - the edge of this thread: callers are answered and the thread lives
                _log.exception("group-not-committed", commands=sum(len(ticket.unit.entries) for ticket in tickets))
                unknown = self._session.in_doubt
                self._session.settle()
                self._session.discard()
                _answer_rest(tickets, OutcomeUnknown(reason="an internal error") if unknown else Undecidable())
            if self._waiting.is_over or not self._session.is_locking:
                self._answer_settled()
            self.statistics.seconds += time.monotonic() - started
            self.statistics.round_trips = self._session.round_trips

    def _commit(self, tickets: list[Ticket]) -> None:
        """Commit a group, trying again while that can help; every ticket is answered, or settled to be answered."""
        started = time.monotonic()
        pause_s, rejected = PAUSE_S_MIN, False
        while True:
            try:
                plan = self._try(tickets)
            except UnsafeServer as error:
                self._answer_settled()
                return self._refuse(tickets, error)
            except (pymysql.err.Error, sqlite3.Error, OSError, ValueError) as error:
                self._answer_settled()
                trouble = trouble_of(error)
                self._recover(trouble)
                unknown = self._session.in_doubt
                self.statistics.retries += 1
                if trouble is Trouble.REJECTED:
                    if rejected:
                        return self._isolate(tickets)
                    rejected = True
                elapsed_s = time.monotonic() - started
                if elapsed_s > (self._settings.append_timeout_s if unknown else self._give_up_s):
                    self._session.settle()
                    reason = "the database cannot be reached or does not take writes"
                    return _answer_rest(
                        tickets, OutcomeUnknown(reason=reason) if unknown else NothingRecorded(reason=reason)
                    )
                time.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
            else:
                break
        if plan is None:
            return None
        self._count(tickets, plan.position)
        self._settled += zip(tickets, plan.answers, strict=True)
        if plan.events and self._after_commit is not None:
            self._after_commit(plan.position)

    def _try(self, tickets: list[Ticket]) -> Plan | None:
        """Read, decide, write and commit the tickets' group, once; None when there is nothing to commit.

        `tickets` is filled when it is empty and the head's lock is on its way.
        """
        session = self._session
        if session.is_locking:
            if not session.is_lock_here():
                self._answer_settled()
            head = session.locked()
            if not tickets:
                tickets += self._waiting.take()
                self._taken_at_s = time.monotonic()
        else:
            head = None
        for ticket in [each for each in tickets if each.is_cut_off]:
            tickets.remove(ticket)
            ticket.answer(NothingRecorded(reason=CUT_OFF))
        if not tickets:
            session.rollback()
            return None
        entries: list[Entry] = [entry for ticket in tickets for entry in ticket.unit.entries]
        reads = loading.reading(entries, mysql=session.mysql)
        if head is None:
            head, *rows = session.begin([self._locking, *reads.values()])
        else:
            rows = session.read(list(reads.values()))
        plan = decide_group(
            [ticket.unit for ticket in tickets],
            loading.loaded(head, dict(zip(reads, rows, strict=True))),
            now_us(),
            lambda plan: session.write(statements.growing(plan)),
        )
        writes = statements.writing(plan, mysql=session.mysql)
        if not writes:
            session.rollback()
            session.settle()
            return plan
        session.write_and_commit(
            writes,
            meanwhile=self._answer_settled,
            # Who is answered meanwhile will mostly be back at once. A node that is left gets no more of them.
            locking=self._locking
            if (self._settled or not self._waiting.is_empty()) and not session.is_leaving
            else None,
        )
        return plan

    def _answer_settled(self) -> None:
        """Let the callers of the last group go on.

        When the next group waits already, that is only done once the server has its commands to work on: callers that
        awake would take the processor from the committer while it holds the head.
        """
        settled, self._settled = self._settled, []
        if settled:
            total_s, now_s = self.statistics.total_s, time.monotonic()
            for ticket, answers in settled:
                total_s.observe(now_s - ticket.came_at_s)
                ticket.answer(answers)

    def _count(self, tickets: Sequence[Ticket], position: int) -> None:
        statistics, taken_at_s = self.statistics, self._taken_at_s
        commands = sum(len(ticket.unit.entries) for ticket in tickets)
        statistics.groups += 1
        statistics.commands += commands
        statistics.group.observe(commands)
        statistics.commit_s.observe(time.monotonic() - taken_at_s)
        if tracing.is_on():
            waits = [(ticket.trace, ticket.came_at_s) for ticket in tickets]
            tracing.tell_commit(waits, taken_at_s, commands=commands, position=position)
        for ticket in tickets:
            statistics.wait_s.observe(max(0.0, taken_at_s - ticket.came_at_s))

    def _recover(self, trouble: Trouble) -> None:
        if trouble is Trouble.LOST or (trouble is Trouble.UNAVAILABLE and self._session.has_other_nodes):
            self._session.suspect()
        else:
            # After error 1205 a COMMIT would persist the first half of the work: always roll back first.
            self._session.rollback()

    def _refuse(self, tickets: Sequence[Ticket], error: UnsafeServer) -> None:
        """Take nothing on a server that would lose it; the next command looks again."""
        self._session.discard()
        if error.findings != self._unsafe:
            self._unsafe = error.findings
            for check, mend in error.findings:
                _log.error("unsafe-database", check=check, mend=mend)
        reason = "the database is not set up safely; the service's log says why"
        unknown = self._session.in_doubt
        _answer_rest(tickets, OutcomeUnknown(reason=reason) if unknown else NothingRecorded(reason=reason))

    def _isolate(self, tickets: Sequence[Ticket]) -> None:
        if len(tickets) > 1:
            for ticket in tickets:
                self._commit([ticket])
            return
        ticket = tickets[0]
        if ticket.unit.atomic or len(ticket.unit.entries) == 1:
            ticket.answer([Outcome(position=0, error=Undecidable()) for _ in ticket.unit.entries])
            return
        parts = [Ticket(Unit([entry], atomic=False)) for entry in ticket.unit.entries]
        for before, part in pairwise(parts):
            part.after = before
        for part in parts:
            self._commit([part])
        self._answer_settled()
        ticket.answer([_answer_of(part) for part in parts])


def _answer_of(part: Ticket) -> Outcome | Stored:
    answers = part.answers
    if isinstance(answers, list):
        return answers[0]
    return Outcome(position=0, error=answers if answers is not None else Undecidable())


def _answer_rest(tickets: Sequence[Ticket], error: LedgerError) -> None:
    for ticket in tickets:
        if ticket.answers is None:
            ticket.answer(error)
