"""A worker process of one queue: ``python -m workers.child <target> <pid of the supervisor>``.

Reads its settings from the environment, makes what the target's jobs need, and serves the queue until it is told to
stop.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from importlib import import_module

from ledger.logs import configure_logs
from ledger.settings import LedgerSettings, read_settings
from ledger.tracing import configure_tracing
from projections.jobs import DRAIN, WakeUpJob, queue_name
from projections.settings import ProjectionSettings
from projections.wake import AGENT, WEBHOOKS
from workers.orphans import end_with_parent
from workers.reporting import PROJECTIONS, reporting
from workers.rq_worker import open_worker_redis, serve
from workers.settings import WorkerSettings


def main(arguments: list[str]) -> int:
    """Serve the target's queue."""
    target, parent = arguments
    level = read_settings(LedgerSettings, os.environ).log_level
    role = target if target in (AGENT, WEBHOOKS) else PROJECTIONS
    configure_logs(level, role=role)
    configure_tracing(os.environ, role=role)
    end_with_parent(int(parent), grace_s=WorkerSettings.from_environment(os.environ).stop_timeout_s)
    with ExitStack() as closing:
        if target in (AGENT, WEBHOOKS):
            _install(target, closing)
        else:
            # Now, not while the first event waits for it.
            import_module(DRAIN.rpartition(".")[0])
        settings = ProjectionSettings.from_environment(os.environ)
        closing.enter_context(reporting(settings, role))
        serve(queue_name(target), open_worker_redis(settings.queue_redis_url), WakeUpJob)
    return 0


def _install(target: str, closing: ExitStack) -> None:
    """Let the process's jobs find what they run."""
    # Who keeps a read model needs none of it, and it takes a third of a start.
    from workers import agent
    from workers.process import Process
    from workers.webhooks import job

    process = Process(os.environ)
    closing.callback(process.close)
    running = process.agent() if target == AGENT else process.webhooks()
    closing.callback(running.close)
    (agent if target == AGENT else job).install(running)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
