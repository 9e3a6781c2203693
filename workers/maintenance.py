"""The maintenance process: the sweeper with everything that must be looked after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from ledger.directory import deliveries
from ledger.directory.customers import check_in_step, reconcile
from projections.sweep import sweep as sweep_projections
from workers.process import Process
from workers.stopping import Stop
from workers.sweeper import Part, claims_part, orders_part, sweep, webhooks_part

RECONCILED_CUSTOMERS_MAX = 2_000
"""Customers brought in step with the ledger in one sweep; more wait for the next."""


def run_maintenance(
    environment: Mapping[str, str], *, more_parts: Sequence[Part] = (), stop: Stop | None = None
) -> int:
    """Sweep until SIGTERM, SIGINT or `stop`; `more_parts` are looked after too. Signals only in the main thread."""
    stop = stop or Stop()
    if threading.current_thread() is threading.main_thread():
        stop.on_signals()
    process = Process(environment)
    try:
        sweep([*parts_of(process), *more_parts], stop)
    finally:
        process.close()
    return 0


def parts_of(process: Process) -> list[Part]:
    """Return what there is to look after."""
    often_s, rarely_s = process.settings.sweep_interval_s, process.settings.sweep_slow_interval_s
    return [
        Part(
            name="projections",
            interval_s=often_s,
            run=lambda: sweep_projections(process.redis, process.queue_redis, process.engine),
        ),
        orders_part(process.engine, process.wake_agent, often_s),
        claims_part(process.engine, rarely_s),
        webhooks_part(process.engine, process.directory.engine, process.wake_webhooks, often_s),
        Part(
            name="deliveries",
            interval_s=rarely_s,
            run=lambda: deliveries.trim(process.directory, process.webhook_settings.deliveries_kept),
        ),
        Part(name="directory", interval_s=rarely_s, run=_keeping_in_step(process)),
    ]


def _keeping_in_step(process: Process) -> Callable[[], None]:
    checked = ""

    def run() -> None:
        nonlocal checked
        reconcile(process.directory, process.ledger, customers_max=RECONCILED_CUSTOMERS_MAX)
        # A step of all customers each time, round and round.
        checked = check_in_step(process.directory, process.ledger, checked)

    return run
