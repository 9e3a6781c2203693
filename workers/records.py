"""From what a step's calls came to, to what is recorded: commands for the log, or the claim's next due time.

Commands go under the step's attempt, so that the rules refuse a runner that is no longer the order's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from ledger.commands import CompleteOrder, FailOrder, OrderCommand, ParkOrder, StartOrder
from ledger.submission import Submission
from workers.cancellations import CancellationRequest
from workers.candidates import Candidate
from workers.claims import Release
from workers.delays import after_executing_s, after_unknown_s
from workers.executors.protocol import (
    CancellationRefused,
    Cancelled,
    Completed,
    Contradiction,
    Executing,
    Failed,
    NotKnown,
    Unknown,
)
from workers.settings import WorkerSettings
from workers.starts import start_key
from workers.steps import ACCEPTED, Finding, Step

ACTOR = "agent"
SILENT = "executor-silent"
CANCELLED_BY_EXECUTOR = "executor-cancelled"
CODE_LENGTH_MAX = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is to be written: at most one of `final` (the order ends or is parked) and `release`.

    `answers` go to cancellation requests.
    """

    step: Step
    final: Submission | None = None
    release: Release | None = None
    answers: tuple[tuple[CancellationRequest, Submission], ...] = field(default=())

    @property
    def submissions(self) -> list[Submission]:
        """Everything for the log, in order: a confirmed cancellation ends the order before anything else could."""
        return [submission for _, submission in self.answers] + ([] if self.final is None else [self.final])


def start_submission(candidate: Candidate, executor: str, runner: str) -> Submission:
    """Return the intent to call the executor at the candidate's address."""
    order_id, attempt = candidate.order.order_id, candidate.next_attempt
    return _submission(
        StartOrder(order_id=order_id, attempt=attempt, executor=executor),
        start_key(order_id, attempt, runner, candidate.address),
        candidate.correlation_id,
    )


def park_submission(candidate: Candidate, attempt: int, code: str) -> Submission:
    """Return the command that hands an order to a person."""
    order_id = candidate.order.order_id
    return _submission(
        ParkOrder(order_id=order_id, attempt=attempt, code=code[:CODE_LENGTH_MAX]),
        f"park:{order_id}:{attempt}",
        candidate.correlation_id,
    )


def record_of(finding: Finding, settings: WorkerSettings, now_us: int) -> Record:
    """Decide what a finding leads to."""
    step, cancellation = finding.step, finding.cancellation
    if isinstance(cancellation, Cancelled):
        return _confirmed(step, cancellation)
    if isinstance(cancellation, Contradiction):
        return Record(step=step, final=park_submission(step.candidate, step.attempt, cancellation.code))
    answers = (
        tuple((request, request.submission()) for request in step.requests)
        if isinstance(cancellation, CancellationRefused)
        else ()
    )
    order_id, attempt = step.order.order_id, step.attempt
    match finding.report:
        case Completed(delivered=delivered):
            final = _complete(step, delivered)
        case Failed(code=code, reason=reason):
            final = _fail(step, code, reason)
        case Contradiction(code=code):
            final = park_submission(step.candidate, attempt, code)
        case Cancelled() as cancelled if step.requests:
            return _confirmed(step, cancelled)
        case Cancelled(delivered=delivered):
            final = _complete(step, delivered) if delivered > 0 else _fail(step, CANCELLED_BY_EXECUTOR, None)
        case Executing(retry_after_s=retry_after_s):
            calls = step.candidate.calls + 1 if step.candidate.last_code == ACCEPTED else 1
            wait_s = after_executing_s(calls, retry_after_s, settings)
            return Record(step=step, answers=answers, release=_release(order_id, now_us, wait_s, calls, ACCEPTED))
        case Unknown(code=code, retry_after_s=retry_after_s):
            calls = step.candidate.calls + 1 if step.was_silent else 1
            if calls >= settings.executor_unknowns_max:
                return Record(step=step, answers=answers, final=park_submission(step.candidate, attempt, SILENT))
            wait_s = after_unknown_s(calls, retry_after_s, settings)
            sticky = f"{ACCEPTED}:{code}" if step.was_accepted else code
            return Record(
                step=step, answers=answers, release=_release(order_id, now_us, wait_s, calls, sticky[:CODE_LENGTH_MAX])
            )
        case None | NotKnown():
            release = _release(order_id, now_us, 0, step.candidate.calls, step.candidate.last_code)
            return Record(step=step, answers=answers, release=release)
        case _:
            assert_never(finding.report)
    return Record(step=step, answers=answers, final=final)


def give_back(finding: Finding, settings: WorkerSettings, now_us: int) -> Release:
    """Return the release of a claim whose commands were all refused.

    Someone else moved the order, and the next look tells where to.
    """
    candidate = finding.step.candidate
    return _release(
        finding.step.order.order_id, now_us, settings.executor_backoff_max_s, candidate.calls, candidate.last_code
    )


def _confirmed(step: Step, cancelled: Cancelled) -> Record:
    answers = tuple(
        (request, request.submission(confirmed_attempt=step.attempt, delivered=cancelled.delivered))
        for request in step.requests
    )
    return Record(step=step, answers=answers)


def _complete(step: Step, delivered: int) -> Submission:
    order_id, attempt = step.order.order_id, step.attempt
    return _submission(
        CompleteOrder(order_id=order_id, attempt=attempt, delivered=delivered),
        f"complete:{order_id}:{attempt}",
        step.candidate.correlation_id,
    )


def _fail(step: Step, code: str, reason: str | None) -> Submission:
    order_id, attempt = step.order.order_id, step.attempt
    return _submission(
        FailOrder(order_id=order_id, attempt=attempt, code=code[:CODE_LENGTH_MAX]),
        f"fail:{order_id}:{attempt}",
        step.candidate.correlation_id,
        reason,
    )


def _release(order_id: str, now_us: int, wait_s: float, calls: int, last_code: str | None) -> Release:
    return Release(order_id=order_id, due_at_us=now_us + int(wait_s * 1_000_000), calls=calls, last_code=last_code)


def _submission(command: OrderCommand, key: str, correlation_id: str, reason: str | None = None) -> Submission:
    return Submission(
        command=command,
        actor=ACTOR,
        idempotency_key=key,
        correlation_id=correlation_id or command.order_id,
        details=None if reason is None else {"reason": reason},
    )
