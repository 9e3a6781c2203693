"""One step of one order: which calls its executor gets, and what they came to. No database here, so steps run in any
thread.

A first attempt's first step executes. Every other step is in doubt and asks first; only when the executor does not
know the order is the identical call to execute repeated, and never at another address than the order was first given to.
Source: docs/architecture.md, intent before effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from ledger import tracing
from workers.cancellations import CancellationRequest
from workers.candidates import Candidate
from workers.executors.protocol import (
    Cancelled,
    CancelReport,
    Contradiction,
    ExecuteReport,
    Executing,
    Executor,
    ExecutorOrder,
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
ACCEPTED = "accepted"
"""How `last_code` begins once the executor said that it executes the order."""

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
    def is_first(self) -> bool:
        """Is this the very first call about the order?"""
        return self.attempt == 1 and not self.candidate.goes_on

    @property
    def was_accepted(self) -> bool:
        """Did the executor say before that it executes the order?"""
        return (self.candidate.last_code or "").startswith(ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a step's calls came to.

    `report` is None when there was no time to ask, `cancellation` when nobody asked to cancel.
    """

    step: Step
    report: ExecuteReport | None = None
    cancellation: CancelReport | None = None


def take(step: Step) -> Finding:
    """Make the step's calls."""
    try:
        return _take(step)
    except UnusableExecutor as error:
        _log.warning("executor-unusable", problem=str(error), **step.log_fields())
        return Finding(step=step, report=Contradiction(code=UNAVAILABLE))
    except Exception:  # noqa: BLE001 - The edge of a thread: whatever happened, the order must not be lost with it.
        _log.exception("step-ended-abruptly", **step.log_fields())
        return Finding(step=step, report=Unknown(code=RAISED))


def _take(step: Step) -> Finding:
    if step.is_first:
        return Finding(step=step, report=_execute(step))
    cancellation: CancelReport | None = None
    if step.candidate.has_moved:
        # Only who knows the order can take it back.
        report = _enquire(step)
        if not step.requests or not isinstance(report, Executing):
            return Finding(step=step, report=report)
    if step.requests:
        cancellation = _call(step, step.executor.cancel)
        if isinstance(cancellation, Cancelled | Contradiction):
            return Finding(step=step, cancellation=cancellation)
    return Finding(step=step, report=_enquire(step), cancellation=cancellation)


def _enquire(step: Step) -> ExecuteReport | None:
    """Ask about the order, and execute it again when it surely was not begun."""
    report = _call(step, step.executor.enquire)
    if not isinstance(report, NotKnown):
        return report
    if step.candidate.has_moved:
        return Contradiction(code=EXECUTOR_CHANGED)
    return Contradiction(code=FORGOTTEN) if step.was_accepted else _execute(step)


def _execute(step: Step) -> ExecuteReport | None:
    report = _call(step, step.executor.execute)
    return Unknown(code="executor-answer-nonsense") if isinstance(report, NotKnown) else report


def _call(step: Step, method: Callable[[ExecutorOrder, float], Report]) -> Report | None:
    """Make one call, or none when it might not end before the lease does."""
    timeout_s = min(step.executor.timeout_s, step.call_s_max)
    if time.monotonic() + timeout_s > step.ends_at_s:
        return None
    call, began_s, result = method.__name__, time.monotonic(), UNUSABLE
    IN_FLIGHT.inc()
    try:
        with tracing.span(f"executor.{call}", kind="client", **step.log_fields()):
            report = method(step.order, timeout_s)
        result = type(report).__name__.lower()
        return report
    except UnusableExecutor:
        raise
    except Exception:  # noqa: BLE001 - An executor of another package may do anything; whether it had an effect is not known.
        result = RAISED
        _log.exception("executor-raised", **step.log_fields())
        return Unknown(code=RAISED)
    finally:
        IN_FLIGHT.dec()
        CALLS.labels(call, result).inc()
        CALL_S.labels(call).observe(time.monotonic() - began_s)
