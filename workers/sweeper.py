"""The sweeper: looks for what a lost job, a lost worker or a lost wake-up left undone, again and again.

It is a list of parts, each due at its own interval. A part that fails is logged and tried again at its next time; the
others do not notice. Every part may run at the same time in several processes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from ledger import log
from ledger.clock import now_us
from workers import claims
from workers.figures import PART_FAILED, PART_S
from workers.stopping import Stop
from workers.webhooks import subscriptions

ENDED_CLAIMS_MAX = 500
"""Claims removed in one commit; a fuller table is emptied over several sweeps."""
ADOPTED_ORDERS_MAX = 500
JITTER_PART = 0.1

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing to look after, every `interval_s`. `run` may raise anything, and blocks no longer than its time-outs."""

    name: str
    interval_s: float
    run: Callable[[], object]


def sweep(parts: Sequence[Part], stop: Stop) -> None:
    """Run the parts at their intervals until `stop`."""
    due_at_s = dict.fromkeys((part.name for part in parts), 0.0)
    failing: set[str] = set()
    while not stop.is_set():
        for part in parts:
            if stop.is_set() or time.monotonic() < due_at_s[part.name]:
                continue
            _run(part, failing)
            due_at_s[part.name] = time.monotonic() + part.interval_s * random.uniform(1 - JITTER_PART, 1 + JITTER_PART)
        stop.wait(max(0.0, min(due_at_s.values()) - time.monotonic()))


def _run(part: Part, failing: set[str]) -> None:
    began_s = time.monotonic()
    try:
        part.run()
    except Exception as error:  # noqa: BLE001 - The edge of a process that must outlive any fault of a part.
        # A part that goes on failing says so each time, but only its first failure needs the whole story.
        _log.warning("sweep-failed", part=part.name, error=type(error).__name__, exc_info=part.name not in failing)
        failing.add(part.name)
        PART_FAILED.labels(part.name).inc()
    else:
        if part.name in failing:
            failing.discard(part.name)
            _log.info("sweep-recovered", part=part.name)
    PART_S.labels(part.name).observe(time.monotonic() - began_s)


def orders_part(engine: sa.Engine, wake: Callable[[], object], interval_s: float) -> Part:
    """Wake the agent when an order is due or a cancellation was asked for."""

    def run() -> None:
        if claims.is_work_due(engine, now_us()):
            wake()

    return Part(name="orders", interval_s=interval_s, run=run)


def webhooks_part(
    log_engine: sa.Engine, directory_engine: sa.Engine, wake: Callable[[], object], interval_s: float
) -> Part:
    """Wake the courier when a subscription has something to get or to try again."""

    def run() -> None:
        with log_engine.connect() as connection:
            head = log.head(connection).position
        if subscriptions.is_work_due(directory_engine, now_us(), head):
            wake()

    return Part(name="webhooks", interval_s=interval_s, run=run)


def claims_part(engine: sa.Engine, interval_s: float) -> Part:
    """Remove claims of ended orders, and make executing orders due that have none."""

    def run() -> None:
        removed = claims.drop_ended(engine, ENDED_CLAIMS_MAX)
        adopted = claims.adopt_unclaimed(engine, now_us(), ADOPTED_ORDERS_MAX)
        if adopted:
            _log.warning("orders-adopted", orders=adopted)
        if removed:
            _log.info("claims-removed", claims=removed)

    return Part(name="claims", interval_s=interval_s, run=run)
