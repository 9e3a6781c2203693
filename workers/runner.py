"""The agent's runner: claims due orders, records the intent, calls executors, records what came of it.

Everything about claims and the log happens in `turn`, on one thread; calls run in a bounded pool of threads and come
back through a queue. A wait is a due time in the database, never a waiting thread.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from ledger import log
from ledger.append import Ledger
from ledger.clock import now_us
from ledger.errors import LedgerError, NotFound, Refused, Unavailable
from ledger.events import OrderStarted
from ledger.ids import new_id
from ledger.money import currency, format_amount
from ledger.submission import Outcome, Submission
from workers import cancellations, claims, steps
from workers.claims import Candidate, Claims, Release
from workers.executors.protocol import Executor, ExecutorOrder, UnusableExecutor
from workers.executors.registry import Executors
from workers.records import give_back, park_submission, record_of, start_submission
from workers.settings import WorkerSettings
from workers.steps import UNAVAILABLE, Finding, Step

EXECUTOR_CHANGED = "executor-changed"
APPEND_TRIES_MAX = 3
APPEND_PAUSE_S = 0.2
REQUESTS_MAX = 100
NAP_S_MAX = 1.0
"""A due time that is nearer than this is waited for in the job; others are the sweeper's."""
POLL_S = 0.25
DATABASE_PAUSE_S = 1.0

ExecutorLookup = Callable[[str], tuple[str, Mapping[str, Any]] | None]
"""From a product's sku to its executor's name and settings, as the directory has them."""

_log = logging.getLogger(__name__)


class Runner:
    """One runner of the agent. Not thread-safe: everything but `wake` is called from one thread."""

    def __init__(
        self, *, engine: sa.Engine, ledger: Ledger, executor_of: ExecutorLookup, settings: WorkerSettings
    ) -> None:
        self.runner = new_id("run")
        self._engine = engine
        self._ledger = ledger
        self._executor_of = executor_of
        self._settings = settings
        self._claims = Claims(engine, self.runner)
        self._executors = Executors(settings)
        self._calls = ThreadPoolExecutor(settings.agent_calls_max, thread_name_prefix="executor-call")
        self._found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
        self._in_flight = 0
        self._unrecorded: list[Finding] = []
        self._expedited: set[bytes] = set()

    @property
    def in_flight(self) -> int:
        """How many claimed orders have a call under way or a finding that is not recorded yet."""
        return self._in_flight + len(self._unrecorded)

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
            _log.warning("the agent cannot use the database now: %s", type(error).__name__)
            return DATABASE_PAUSE_S

    def turn(self, *, claiming: bool) -> None:
        """Record what the calls came to and, if asked, answer cancellation requests and claim what is due."""
        self._record()
        if claiming:
            self._answer_plain_requests()
            self._claim()

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

    # -- claiming -----------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        free = self._settings.agent_calls_max - self.in_flight
        # A few free places are left to gather, so that intents are committed together.
        if free < max(1, self._settings.agent_calls_max // 4):
            return
        candidates = self._claims.due(now_us(), free)
        if not candidates:
            return
        executors = {sku: self._executor_found(sku) for sku in {each.order.product for each in candidates}}
        began_at_s, lease_until_us = time.monotonic(), now_us() + int(self._settings.lease_s * 1_000_000)
        ours = self._claims.take(candidates, lease_until_us=lease_until_us)
        ended = [each.order.order_id for each in ours if each.order.status in claims.ENDED]
        usable: list[tuple[Candidate, str, Executor]] = []
        parking: dict[str, Submission] = {}
        for each in ours:
            if each.order.status in claims.ENDED:
                continue
            try:
                usable.append((each, *self._opened(each, executors[each.order.product])))
            except UnusableExecutor as error:
                _log.warning("order %s is parked: %s", each.order.order_id, error)
                parking[each.order.order_id] = park_submission(each.order, each.order.attempt, str(error))
        outcomes = self._settled(list(parking.values()))
        ended += [order_id for order_id, outcome in zip(parking, outcomes, strict=True) if outcome.error is None]
        if ended:
            self._claims.drop(ended)
        self._begin(self._started(usable), began_at_s)

    def _executor_found(self, sku: str) -> tuple[str, Mapping[str, Any]] | None:
        try:
            return self._executor_of(sku)
        except NotFound:
            return None

    def _opened(self, candidate: Candidate, found: tuple[str, Mapping[str, Any]] | None) -> tuple[str, Executor]:
        """Return the name and executor of a candidate. Raises UnusableExecutor with the code to park it under."""
        if found is None:
            raise UnusableExecutor(UNAVAILABLE)
        name, settings = found
        # Another system cannot say what became of an order that was given to this one.
        if candidate.order.executor not in (None, name):
            raise UnusableExecutor(EXECUTOR_CHANGED)
        try:
            return name, self._executors.open(name, settings)
        except UnusableExecutor as error:
            _log.warning("executor %s of product %s cannot be used: %s", name, candidate.order.product, error)
            raise UnusableExecutor(UNAVAILABLE) from None

    def _started(self, usable: Sequence[tuple[Candidate, str, Executor]]) -> list[tuple[Candidate, Executor]]:
        """Commit the intents, and return the orders that may be called about."""
        going_on = [(each, executor) for each, _, executor in usable if each.goes_on]
        starting = {each.order.order_id: (each, executor) for each, _, executor in usable if not each.goes_on}
        submissions = [start_submission(each, name, self.runner) for each, name, _ in usable if not each.goes_on]
        outcomes = self._settled(submissions)
        refused = [
            order_id for order_id, outcome in zip(starting, outcomes, strict=True) if isinstance(outcome.error, Refused)
        ]
        if refused:
            # Someone was first, or the order was cancelled; the next look at it, under a new claim, tells which.
            self._claims.release(
                [Release(order_id=each, due_at_us=now_us(), calls=0, last_code=None) for each in refused]
            )
        accepted = [
            starting[order_id] for order_id, outcome in zip(starting, outcomes, strict=True) if outcome.error is None
        ]
        return going_on + accepted

    def _begin(self, started: Sequence[tuple[Candidate, Executor]], claimed_at_s: float) -> None:
        if not started:
            return
        orders = [each.order for each, _ in started]
        with self._engine.connect() as connection:
            details = log.details_at(connection, [order.placed_position for order in orders])
            histories = log.events_of_orders(connection, [order.order_id for order in orders])
            requests = cancellations.requests_by_order(connection, [order.order_id for order in orders])
        for each, executor in started:
            order = each.order
            first_start = next(event for event in histories[order.order_id] if event.type == OrderStarted.TYPE)
            step = Step(
                candidate=each,
                attempt=each.next_attempt,
                order=ExecutorOrder(
                    order_id=order.order_id,
                    product=order.product,
                    quantity=order.quantity,
                    params=details.get(order.placed_position, {}).get("params"),
                    amount=format_amount(order.amount_minor, currency(order.currency)),
                    currency=order.currency,
                    reference=order.reference,
                    started_at_us=first_start.recorded_at_us,
                ),
                executor=executor,
                requests=tuple(requests.get(order.order_id, ())),
                ends_at_s=claimed_at_s + self._settings.calls_s_max,
                lease_ends_at_s=claimed_at_s + self._settings.lease_s,
                call_s_max=self._settings.call_s_max,
            )
            self._in_flight += 1
            self._calls.submit(self._take, step)

    def _take(self, step: Step) -> None:
        self._found.put(steps.take(step))

    # -- recording ----------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        self._gather()
        if not self._unrecorded:
            return
        # Past its lease another runner may have the order; whatever this one found, that one finds by asking.
        findings = [each for each in self._unrecorded if time.monotonic() < each.step.lease_ends_at_s]
        self._unrecorded = findings
        records = [record_of(each, self._settings, now_us()) for each in findings]
        outcomes = iter(self._settled([submission for record in records for submission in record.submissions]))
        unsettled: list[Finding] = []
        ended: list[str] = []
        answered: list[bytes] = []
        releases: list[Release] = []
        for finding, record in zip(findings, records, strict=True):
            answers = [next(outcomes) for _ in record.answers]
            final = [next(outcomes)] if record.final is not None else []
            definite = [not isinstance(outcome.error, Unavailable) for outcome in answers]
            answered += [
                request.key_digest for (request, _), known in zip(record.answers, definite, strict=True) if known
            ]
            if any(isinstance(outcome.error, Unavailable) for outcome in answers + final):
                unsettled.append(finding)
            elif any(outcome.error is None for outcome in answers + final):
                ended.append(finding.step.order.order_id)
            else:
                releases.append(record.release or give_back(finding, self._settings, now_us()))
        self._unrecorded = unsettled
        self._settle_claims(
            ended, releases, answered, {request.key_digest for each in findings for request in each.step.requests}
        )

    def _settle_claims(
        self, ended: Sequence[str], releases: Sequence[Release], answered: Sequence[bytes], asked: set[bytes]
    ) -> None:
        if answered:
            cancellations.forget(self._engine, answered)
        if ended:
            self._claims.drop(ended)
        if releases:
            with self._engine.connect() as connection:
                requests = cancellations.requests_by_order(connection, [each.order_id for each in releases])
            # A request that came during the call must not wait for the next time the executor would be asked anyway.
            urgent = {
                order_id for order_id, found in requests.items() if any(each.key_digest not in asked for each in found)
            }
            self._claims.release([replace(each, due_at_us=0) if each.order_id in urgent else each for each in releases])

    def _gather(self) -> None:
        while True:
            try:
                finding = self._found.get_nowait()
            except queue.Empty:
                return
            self._keep(finding)

    def _keep(self, finding: Finding | None) -> None:
        if finding is not None:
            self._in_flight -= 1
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
            if outcome.error is not None:
                _log.info("%s of %s: %s", submission.command.KIND, submission.correlation_id, outcome.error.code)
        return outcomes

    # -- cancellation requests and due times --------------------------------------------------------------------------

    def _answer_plain_requests(self) -> None:
        """Answer the requests that need no executor, and make the steps of the others due."""
        plain, executing = cancellations.open_requests(self._engine, REQUESTS_MAX)
        if plain:
            outcomes = self._settled([request.submission() for request in plain])
            definite = [
                each.key_digest
                for each, outcome in zip(plain, outcomes, strict=True)
                if not isinstance(outcome.error, Unavailable)
            ]
            if definite:
                cancellations.forget(self._engine, definite)
        fresh = [request for request in executing if request.key_digest not in self._expedited]
        reached = claims.expedite(self._engine, [each.order_id for each in fresh], now_us()) if fresh else set()
        # A request whose claim is held just now comes up again: it must not wait for the time that its runner sets.
        self._expedited = {
            each.key_digest for each in executing if each.key_digest in self._expedited or each.order_id in reached
        }

    def _nap_s(self) -> float | None:
        """Return how long to wait for the next due time, None when none is near."""
        due_us = claims.next_due_us(self._engine)
        if due_us is None:
            return None
        wait_s = (due_us - now_us()) / 1_000_000
        return max(wait_s, 0.0) if wait_s < NAP_S_MAX else None
