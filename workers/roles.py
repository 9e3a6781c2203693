"""What the command line starts: the projections' workers and the agent's, each under a supervisor."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from projections.wake import TARGETS
from workers.process import AGENT
from workers.settings import WorkerSettings
from workers.supervisor import Child, run_supervisor


def run_projection_workers(environment: Mapping[str, str], *, stop: threading.Event | None = None) -> int:
    """Run one worker per projection until told to stop; return the exit code."""
    targets = [target for target in TARGETS if target != AGENT]
    return _run(targets, environment, stop)


def run_agent_workers(environment: Mapping[str, str], *, stop: threading.Event | None = None) -> int:
    """Run the agent's workers until told to stop; return the exit code."""
    processes = WorkerSettings.from_environment(environment).agent_processes
    return _run([AGENT] * processes, environment, stop)


def _run(targets: list[str], environment: Mapping[str, str], stop: threading.Event | None) -> int:
    settings = WorkerSettings.from_environment(environment)
    children = [Child(name=target, module="workers.child", arguments=(target,)) for target in targets]
    return run_supervisor(children, environment=environment, stop_timeout_s=settings.stop_timeout_s, stop=stop)
