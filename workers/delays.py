"""How long to wait before asking an executor again.

Bounded, growing, with jitter, and honouring what the executor asks for.
"""

from __future__ import annotations

import random

from workers.settings import WorkerSettings

GROWTH_UNKNOWN = 2.0
GROWTH_EXECUTING = 1.5
GROWTH_STEPS_MAX = 30
POLL_PART_MIN = 0.25


def after_unknown_s(calls: int, retry_after_s: float | None, settings: WorkerSettings) -> float:
    """Return the wait after the `calls`-th answer in a row that said nothing."""
    longest_s = min(
        settings.executor_backoff_max_s,
        settings.executor_backoff_s * GROWTH_UNKNOWN ** min(calls - 1, GROWTH_STEPS_MAX),
    )
    wait_s = longest_s * random.uniform(0.5, 1.0)
    return wait_s if retry_after_s is None else max(wait_s, min(retry_after_s, settings.executor_retry_after_max_s))


def after_executing_s(calls: int, retry_after_s: float | None, settings: WorkerSettings) -> float:
    """Return the wait after the `calls`-th answer in a row that the order is being executed."""
    longest_s = min(
        settings.executor_poll_max_s, settings.executor_poll_s * GROWTH_EXECUTING ** min(calls - 1, GROWTH_STEPS_MAX)
    )
    if retry_after_s is None:
        return longest_s * random.uniform(0.8, 1.0)
    # An executor that asks for no wait at all gets a short one.
    return max(longest_s * POLL_PART_MIN, min(retry_after_s, settings.executor_retry_after_max_s))
