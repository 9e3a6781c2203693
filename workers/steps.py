"""One step of one order: which calls its executor gets, and what they came to. No database here, so steps run in any
thread.

A first attempt's first step executes. Every other step is in doubt and asks first; only when the executor does not
know the order is the identical call to execute repeated, and never at another address than the order was first given to.
Source: docs/architecture.md, intent before effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, TypeVar, get_args

import structlog

from ledger import tracing
from ledger.ids import is_token
from workers.cancellations import CancellationRequest
from workers.candidates import Candidate
from workers.executors.answers import MORE_THAN_ORDERED, NONSENSE, storable
from workers.executors.protocol import (
    Cancelled,
    CancelReport,
    Completed,
    Contradiction,
    ExecuteReport,
    Executing,
    Executor,
    ExecutorOrder,
    Failed,
    NotKnown,
    Unknown,
    UnusableExecutor,
)
from workers.figures import CALL_S, CALLS, IN_FLIGHT

UNAVAILABLE = "executor-unavailable"
FORGOTTEN = "executor-forgot-order"
EXECUTOR_CHANGED = "executor-changed"
ALTERED = "params-altered"
RAISED = "executor-raised"
UNUSABLE = "executor-unusable"
SLOW = "executor-timeout"
ACCEPTED = "accepted"
"""How `last_code` begins once the executor said that it executes the order."""
CALL_S_MIN = 0.1
"""With less time than this a call is not begun."""

_log = structlog.get_logger(__name__)
Report = TypeVar("Report", ExecuteReport, CancelReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A claimed order's step.

    `attempt` is what it records under, `ends_at_s` (monotonic clock) when its calls must have ended.
    """

    candidate: Candidate
    attempt: int
    order: ExecutorOrder
    executor: Executor
    requests: tuple[CancellationRequest, ...]
    ends_at_s: float
    lease_ends_at_s: float
    call_s_max: float

    def log_fields(self) -> dict[str, Any]:
        """Return the ids that a line about the step has."""
        order = self.order
        return {"order_id": order.order_id, "attempt": self.attempt, "correlation_id": order.correlation_id}

    @property
    def timeout_s(self) -> float:
        """The longest that one of its calls takes, in seconds."""
        return min(self.executor.timeout_s, self.call_s_max)

    @property
    def is_first(self) -> bool:
        """Is this the very first call about the order?"""
        return self.attempt == 1 and not self.candidate.goes_on

    @property
    def was_accepted(self) -> bool:
        """Did the executor say before that it executes the order?"""
        return (self.candidate.last_code or "").startswith(ACCEPTED)

    @property
    def was_silent(self) -> bool:
        """Did the last step end in an answer that says nothing?"""
        return self.candidate.last_code not in (None, ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a step's calls came to.

    `report` is None when there was no time for any call, `cancellation` when nobody asked to cancel or there was none.
    """

    step: Step
    report: ExecuteReport | None = None
    cancellation: CancelReport | None = None

    @property
    def leaves_cancellation(self) -> bool:
        """Is the order being executed, and its executor not asked to cancel it, as there was no time?"""
        return self.cancellation is None and isinstance(self.report, Executing)


def take(step: Step) -> Finding:
    """Make the step's calls."""
    try:
        return _take(step)
    except UnusableExecutor as error:
        _log.warning("executor-unusable", problem=str(error), **step.log_fields())
        return Finding(step=step, report=Contradiction(code=UNAVAILABLE))
    except BaseException:  # noqa: BLE001 - The edge of a thread: whatever happened, the order must not be lost with it.
        _log.exception("step-ended-abruptly", **step.log_fields())
        return Finding(step=step, report=Unknown(code=RAISED))


def _take(step: Step) -> Finding:
    if step.is_first:
        return Finding(step=step, report=_execute(step))
    report: ExecuteReport | None = None
    cancellation: CancelReport | None = None
    if step.candidate.has_moved:
        # Only who knows the order can take it back.
        report = _enquire(step)
        if not step.requests or not isinstance(report, Executing):
            return Finding(step=step, report=report)
    if step.requests:
        # Whoever never answers this must not hide what became of the order: the enquiry that follows one in vain has its
        # whole time.
        kept_s = step.timeout_s if report is None and step.was_silent else 0.0
        cancellation = _call(step, step.executor.cancel, CancelReport, kept_s=kept_s)
        if isinstance(cancellation, Cancelled | Contradiction):
            return Finding(step=step, cancellation=cancellation)
    if report is None:
        report = _enquire(step)
    if report is None and cancellation is not None:
        # The time is used up: unless that counts as an answer that says nothing, the same begins at once, for ever.
        report = Unknown(code=SLOW)
    return Finding(step=step, report=report, cancellation=cancellation)


def _enquire(step: Step) -> ExecuteReport | None:
    """Ask about the order, and execute it again when it surely was not begun."""
    report = _call(step, step.executor.enquire, ExecuteReport)
    if not isinstance(report, NotKnown):
        return report
    if step.candidate.has_moved:
        return Contradiction(code=EXECUTOR_CHANGED)
    if step.was_accepted:
        return Contradiction(code=FORGOTTEN)
    again = _execute(step)
    return Unknown(code=SLOW) if again is None else again


def _execute(step: Step) -> ExecuteReport | None:
    report = _call(step, step.executor.execute, ExecuteReport)
    return Unknown(code=NONSENSE) if isinstance(report, NotKnown) else report


def _call(
    step: Step, method: Callable[[ExecutorOrder, float], Report], kinds: UnionType, *, kept_s: float = 0.0
) -> Report | None:
    """Make one call in what is left of the step's time, `kept_s` for another left out, or none when too little is.

    The calls of a step share its time, so the last may get less than its whole deadline; to send it is what counts.
    """
    left_s = step.ends_at_s - kept_s - time.monotonic()
    if left_s < CALL_S_MIN:
        return None
    timeout_s = min(step.timeout_s, left_s)
    call, began_s, result = method.__name__, time.monotonic(), UNUSABLE
    IN_FLIGHT.inc()
    try:
        with tracing.span(f"executor.{call}", kind="client", **step.log_fields()):
            said = method(step.order, timeout_s)
        report: Report = _checked(said, kinds, step)
        result = type(report).__name__.lower()
        return report
    except UnusableExecutor:
        raise
    except BaseException:  # noqa: BLE001 - Another package may do anything, also sys.exit; its effect is not known.
        result = RAISED
        _log.exception("executor-raised", **step.log_fields())
        return Unknown(code=RAISED)
    finally:
        IN_FLIGHT.dec()
        CALLS.labels(call, result).inc()
        CALL_S.labels(call).observe(time.monotonic() - began_s)


def _checked(report: Any, kinds: UnionType, step: Step) -> Any:
    """Return a report that can be recorded: an executor of another package may say anything."""
    if not isinstance(report, get_args(kinds)) or not _is_sound(report):
        _log.warning("executor-report-nonsense", report=type(report).__name__, **step.log_fields())
        return Unknown(code=NONSENSE)
    if isinstance(report, Completed | Cancelled) and report.delivered > step.order.quantity:
        return Contradiction(code=MORE_THAN_ORDERED)
    if isinstance(report, Failed) and report.reason is not None:
        return replace(report, reason=storable(report.reason))
    return report


def _is_sound(report: Any) -> bool:
    match report:
        case Completed(delivered=delivered) | Cancelled(delivered=delivered):
            return isinstance(delivered, int) and not isinstance(delivered, bool) and delivered >= 0
        case Failed(code=code, reason=reason):
            return _is_code(code) and (reason is None or isinstance(reason, str))
        case Contradiction(code=code):
            return _is_code(code)
        case Unknown(code=code, retry_after_s=retry_after_s):
            return _is_code(code) and _is_wait(retry_after_s)
        case Executing(retry_after_s=retry_after_s):
            return _is_wait(retry_after_s)
        case _:
            return True


def _is_code(code: Any) -> bool:
    return isinstance(code, str) and is_token(code)


def _is_wait(wait_s: Any) -> bool:
    return wait_s is None or isinstance(wait_s, int | float)
