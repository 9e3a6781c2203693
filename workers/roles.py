"""What the command line starts: the workers of projections, agent and webhooks, each kind under a supervisor."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.webhooks.settings import WebhookSettings
from projections.wake import AGENT, PROJECTIONS, WEBHOOKS
from workers.settings import WorkerSettings
from workers.stopping import Stop
from workers.supervisor import Child, run_supervisor


def run_projection_workers(environment: Mapping[str, str], *, stop: Stop | None = None) -> int:
    """Run one worker per projection until told to stop; return the exit code."""
    return _run(list(PROJECTIONS), environment, stop)


def run_agent_workers(environment: Mapping[str, str], *, stop: Stop | None = None) -> int:
    """Run the agent's workers until told to stop; return the exit code."""
    processes = WorkerSettings.from_environment(environment).agent_processes
    return _run([AGENT] * processes, environment, stop)


def run_webhook_workers(environment: Mapping[str, str], *, stop: Stop | None = None) -> int:
    """Run the workers that deliver webhooks until told to stop; return the exit code."""
    processes = WebhookSettings.from_environment(environment).processes
    return _run([WEBHOOKS] * processes, environment, stop)


def _run(targets: list[str], environment: Mapping[str, str], stop: Stop | None) -> int:
    settings = WorkerSettings.from_environment(environment)
    children = [Child(name=target, module="workers.child", arguments=(target,)) for target in targets]
    return run_supervisor(children, environment=environment, stop_timeout_s=settings.stop_timeout_s, stop=stop)
