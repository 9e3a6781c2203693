"""The agent's runner: claims due orders, records the intent, calls executors, records what came of it.

Everything about claims and the log happens in `turn`, on one thread; calls run in a bounded pool of threads and come
back through a queue. A turn records the results that came back and the intents of what it claimed in one commit, and
calls nobody before. A wait is a due time in the database, never a waiting thread.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
import structlog

from ledger.append import Ledger
from ledger.clock import now_us
from ledger.commands import Command, ParkOrder, StartOrder
from ledger.errors import LedgerError, ReadUnavailable, Refused, Unavailable
from ledger.ids import new_id
from ledger.money import currency, format_amount
from ledger.submission import Outcome, Submission
from workers import cancellations, claims, steps
from workers.candidates import Candidate
from workers.claiming import Claimed, Claiming, ExecutorLookup
from workers.claims import Claims, Release
from workers.executors.protocol import Executor, ExecutorOrder
from workers.figures import PARKED, STARTED
from workers.records import Record, give_back, record_of
from workers.settings import WorkerSettings
from workers.steps import Finding, Step

APPEND_TRIES_MAX = 3
APPEND_PAUSE_S = 0.2
REQUESTS_MAX = 100
"""Cancellation requests that are answered, or made due, at a time."""
EXPEDITED_MAX = 5_000
"""Requests at executors that are looked through for new ones: those that get no answer must not hide the others."""
REQUESTS_LOOK_S = 0.1
"""How often cancellation requests are looked for while calls are under way."""
NAP_S_MAX = 1.0
"""A due time that is nearer than this is waited for in the job; others are the sweeper's."""
POLL_S = 0.25
DATABASE_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Settlement:
    """What a turn leads to beside the log: for claims, and for the requests of those who asked to cancel."""

    ended: list[str] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    answered: list[bytes] = field(default_factory=list)
    asked: set[bytes] = field(default_factory=set)


class Runner:
    """One runner of the agent. Not thread-safe: everything but `wake` is called from one thread."""

    def __init__(
        self, *, engine: sa.Engine, ledger: Ledger, executor_of: ExecutorLookup, settings: WorkerSettings
    ) -> None:
        self.runner = new_id("run")
        self._engine = engine
        self._ledger = ledger
        self._settings = settings
        self._claims = Claims(engine, self.runner)
        self._claiming = Claiming(self._claims, self.runner, executor_of, settings)
        self._calls = ThreadPoolExecutor(settings.agent_calls_max, thread_name_prefix="executor-call")
        self._found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
        self._calling = 0
        self._unrecorded: list[Finding] = []
        self._expedited: set[bytes] = set()
        self._requests_due_at_s = 0.0

    @property
    def in_flight(self) -> int:
        """How many claimed orders have a call under way or a finding that is not recorded yet."""
        return self._calling + len(self._unrecorded)

    def work(self, run_s: float) -> bool:
        """Take turns until nothing is due, at most `run_s`; say whether anything is left to do soon."""
        ends_at_s = time.monotonic() + run_s
        while (left_s := ends_at_s - time.monotonic()) > 0:
            wait_s = self.advance(claiming=True)
            if wait_s is None:
                return False
            self.wait(min(wait_s, left_s))
        return True

    def advance(self, *, claiming: bool) -> float | None:
        """Take a turn and return how long to wait for the next, None when nothing is under way or due soon."""
        try:
            self.turn(claiming=claiming)
            if self.in_flight:
                return POLL_S
            return self._nap_s() if claiming else None
        except (sa.exc.SQLAlchemyError, LedgerError) as error:
            _log.warning("agent-without-database", error=type(error).__name__)
            return DATABASE_PAUSE_S

    def turn(self, *, claiming: bool) -> None:
        """Record what the calls came to and, if asked, answer cancellation requests and begin what is due."""
        self._gather()
        if claiming:
            self._answer_plain_requests()
        records = [record_of(each, self._settings, now_us()) for each in self._recordable()]
        claimed, away = Claimed(), None
        if claiming:
            try:
                claimed = self._claimed()
            except ReadUnavailable as error:
                # Without the directory nothing begins; what came back is recorded all the same.
                away = error
        submissions = [each for record in records for each in record.submissions]
        outcomes = iter(self._settled([*submissions, *claimed.parking.values(), *claimed.starts]))
        settlement = Settlement(ended=claimed.ended)
        self._recorded(records, outcomes, settlement)
        settlement.ended += [order_id for order_id in claimed.parking if next(outcomes).error is None]
        self._begin(claimed.going_on + _started(claimed, outcomes, settlement), claimed.at_s)
        self._settle(settlement)
        if away is not None:
            raise away

    def wake(self) -> None:
        """End a wait; may be called from any thread."""
        self._found.put(None)

    def wait(self, wait_s: float) -> None:
        """Wait until a call comes back, someone wakes the runner, or the time is over."""
        try:
            self._keep(self._found.get(timeout=wait_s))
        except queue.Empty:
            return

    def close(self) -> None:
        """Wait for the calls under way, record what they came to, and start nothing more."""
        ends_at_s = time.monotonic() + self._settings.calls_s_max
        while time.monotonic() < ends_at_s and (wait_s := self.advance(claiming=False)) is not None:
            self.wait(wait_s)
        self._calls.shutdown(wait=False, cancel_futures=True)

    # -- beginning ----------------------------------------------------------------------------------------------------

    def _claimed(self) -> Claimed:
        # What was found out is recorded with the new intents, so only calls under way take places.
        free = self._settings.agent_calls_max - self._calling
        # A few free places are left to gather, so that intents are committed together.
        if free < max(1, self._settings.agent_calls_max // 4):
            return Claimed()
        return self._claiming.claim(free)

    def _begin(self, started: Sequence[tuple[Candidate, Executor]], claimed_at_s: float) -> None:
        for each, executor in started:
            order = each.order
            if each.first_started_at_us is None or each.details is None:
                raise RuntimeError(f"order {order.order_id} has no start, or params that are not its own")
            step = Step(
                candidate=each,
                attempt=each.next_attempt,
                order=ExecutorOrder(
                    order_id=order.order_id,
                    product=order.product,
                    quantity=order.quantity,
                    params=each.details.get("params"),
                    amount=format_amount(order.amount_minor, currency(order.currency)),
                    currency=order.currency,
                    reference=order.reference,
                    started_at_us=each.first_started_at_us,
                    correlation_id=each.correlation_id,
                ),
                executor=executor,
                requests=each.requests,
                ends_at_s=claimed_at_s + self._settings.calls_s_max,
                lease_ends_at_s=claimed_at_s + self._settings.lease_s,
                call_s_max=self._settings.call_s_max,
            )
            self._calling += 1
            self._calls.submit(self._take, step)

    def _take(self, step: Step) -> None:
        self._found.put(steps.take(step))

    # -- recording ----------------------------------------------------------------------------------------------------

    def _recordable(self) -> list[Finding]:
        # Past its lease another runner may have the order; whatever this one found, that one finds by asking.
        self._unrecorded = [each for each in self._unrecorded if time.monotonic() < each.step.lease_ends_at_s]
        return self._unrecorded

    def _recorded(self, records: Sequence[Record], outcomes: Iterator[Outcome], settlement: Settlement) -> None:
        """Sort what was recorded by what follows; what is not definite yet stays to be recorded."""
        unsettled: list[Finding] = []
        for finding, record in zip(self._unrecorded, records, strict=True):
            answers = [next(outcomes) for _ in record.answers]
            final = [next(outcomes)] if record.final is not None else []
            definite = [not isinstance(outcome.error, Unavailable) for outcome in answers]
            settlement.answered += [
                request.key_digest for (request, _), known in zip(record.answers, definite, strict=True) if known
            ]
            if not finding.leaves_cancellation:
                settlement.asked.update(request.key_digest for request in finding.step.requests)
            if any(isinstance(outcome.error, Unavailable) for outcome in answers + final):
                unsettled.append(finding)
            elif any(outcome.error is None for outcome in answers + final):
                settlement.ended.append(finding.step.order.order_id)
            else:
                settlement.releases.append(record.release or give_back(finding, self._settings, now_us()))
        self._unrecorded = unsettled

    def _settle(self, settlement: Settlement) -> None:
        if settlement.answered:
            cancellations.forget(self._engine, settlement.answered)
        releases = settlement.releases
        if releases:
            with self._engine.connect() as connection:
                requests = cancellations.requests_by_order(connection, [each.order_id for each in releases])
            # A request that came during the call must not wait for the next time the executor would be asked anyway.
            urgent = {
                order_id
                for order_id, found in requests.items()
                if any(each.key_digest not in settlement.asked for each in found)
            }
            releases = [replace(each, due_at_us=0) if each.order_id in urgent else each for each in releases]
        self._claims.settle(settlement.ended, releases)

    def _gather(self) -> None:
        while True:
            try:
                finding = self._found.get_nowait()
            except queue.Empty:
                return
            self._keep(finding)

    def _keep(self, finding: Finding | None) -> None:
        if finding is None:
            self._requests_due_at_s = 0.0
        else:
            self._calling -= 1
            self._unrecorded.append(finding)

    def _settled(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Append and return the outcomes; those that are not definite are repeated a few times under the same keys."""
        outcomes = self._ledger.append_batch(submissions, atomic=False) if submissions else []
        for _ in range(APPEND_TRIES_MAX - 1):
            again = [index for index, outcome in enumerate(outcomes) if isinstance(outcome.error, Unavailable)]
            if not again:
                break
            time.sleep(APPEND_PAUSE_S)
            for index, outcome in zip(
                again, self._ledger.append_batch([submissions[index] for index in again], atomic=False), strict=True
            ):
                outcomes[index] = outcome
        for submission, outcome in zip(submissions, outcomes, strict=True):
            if outcome.error is None and not outcome.replayed:
                _count(submission.command)
            if outcome.error is not None:
                _log.info(
                    "command-refused",
                    command=submission.command.KIND,
                    code=outcome.error.code,
                    order_id=getattr(submission.command, "order_id", None),
                    attempt=getattr(submission.command, "attempt", None),
                    correlation_id=submission.correlation_id,
                )
        return outcomes

    # -- cancellation requests and due times --------------------------------------------------------------------------

    def _answer_plain_requests(self) -> None:
        """Answer the requests that need no executor, and make the steps of the others due."""
        now_s = time.monotonic()
        if self.in_flight and now_s < self._requests_due_at_s:
            return
        self._requests_due_at_s = now_s + REQUESTS_LOOK_S
        plain = cancellations.plain_requests(self._engine, REQUESTS_MAX)
        if plain:
            outcomes = self._settled([request.submission() for request in plain])
            definite = [
                each.key_digest
                for each, outcome in zip(plain, outcomes, strict=True)
                if not isinstance(outcome.error, Unavailable)
            ]
            if definite:
                cancellations.forget(self._engine, definite)
        executing = cancellations.executing_requests(self._engine, EXPEDITED_MAX)
        fresh = [order_id for digest, order_id in executing.items() if digest not in self._expedited][:REQUESTS_MAX]
        reached = claims.expedite(self._engine, fresh, now_us()) if fresh else set()
        # A request whose claim is held just now comes up again: it must not wait for the time that its runner sets.
        self._expedited = {
            digest for digest, order_id in executing.items() if digest in self._expedited or order_id in reached
        }

    def _nap_s(self) -> float | None:
        """Return how long to wait for the next due time, None when none is near."""
        due_us = claims.next_due_us(self._engine)
        if due_us is None:
            return None
        wait_s = (due_us - now_us()) / 1_000_000
        return max(wait_s, 0.0) if wait_s < NAP_S_MAX else None


def _count(command: Command) -> None:
    if isinstance(command, StartOrder):
        STARTED.inc()
    elif isinstance(command, ParkOrder):
        PARKED.labels(command.code).inc()


def _started(claimed: Claimed, outcomes: Iterator[Outcome], settlement: Settlement) -> list[tuple[Candidate, Executor]]:
    """Return what may be called about, now that its intent is in the log."""
    started = []
    for (each, executor), outcome in zip(claimed.starting, outcomes, strict=True):
        if outcome.error is None and outcome.event is not None:
            first_us = each.first_started_at_us
            first_us = outcome.event.recorded_at_us if first_us is None else first_us
            started.append((replace(each, first_started_at_us=first_us), executor))
        elif isinstance(outcome.error, Refused):
            # Someone was first, or the order was cancelled; the next look at it, under a new claim, tells which.
            release = Release(order_id=each.order.order_id, due_at_us=now_us(), calls=0, last_code=None)
            settlement.releases.append(release)
    return started
