"""A worker process of one queue: ``python -m workers.child <target> <pid of the supervisor>``.

Reads its settings from the environment, makes what the target's jobs need, and serves the queue until it is told to
stop.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from ledger.logs import configure_logs
from ledger.settings import LedgerSettings, read_settings
from ledger.tracing import configure_tracing
from projections.jobs import WakeUpJob, queue_name
from projections.settings import ProjectionSettings
from projections.wake import AGENT, WEBHOOKS
from workers.agent import install
from workers.orphans import end_with_parent
from workers.process import PROJECTIONS, Process, reporting
from workers.rq_worker import open_worker_redis, serve
from workers.settings import WorkerSettings
from workers.webhooks import job


def main(arguments: list[str]) -> int:
    """Serve the target's queue."""
    target, parent = arguments
    level = read_settings(LedgerSettings, os.environ).log_level
    role = target if target in (AGENT, WEBHOOKS) else PROJECTIONS
    configure_logs(level, role=role)
    configure_tracing(os.environ, role=role)
    end_with_parent(int(parent), grace_s=WorkerSettings.from_environment(os.environ).stop_timeout_s)
    with ExitStack() as closing:
        if target == AGENT:
            process = Process(os.environ)
            closing.callback(process.close)
            agent = process.agent()
            closing.callback(agent.close)
            install(agent)
        elif target == WEBHOOKS:
            process = Process(os.environ)
            closing.callback(process.close)
            courier = process.webhooks()
            closing.callback(courier.close)
            job.install(courier)
        settings = ProjectionSettings.from_environment(os.environ)
        closing.enter_context(reporting(settings, role))
        serve(queue_name(target), open_worker_redis(settings.queue_redis_url), WakeUpJob)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
