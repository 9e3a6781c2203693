"""The jobs that wake-ups run: which exist, and a job class that runs no other, whatever is found in Redis."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from rq.job import Job

DRAIN = "projections.drain.drain"
RUN_AGENT = "workers.agent.run_agent"
RUN_WEBHOOKS = "workers.webhooks.job.run_webhooks"
ALLOWED = frozenset({DRAIN, RUN_AGENT, RUN_WEBHOOKS})


class RefusedJob(ValueError):
    """A job in Redis names something that is not ours to run."""


def queue_name(target: str) -> str:
    """Return the name of the target's queue."""
    return f"orderledger-{target}"


class WakeUpJob(Job):
    """A job that is one of ours or does not run.

    Who can write to Redis could otherwise name any function for us to import and call: as the job, as a method of an
    object, or as a callback.
    """

    @property
    def func(self) -> Callable[..., Any]:
        """The function to run. Raises RefusedJob unless it is one of ours; nothing is imported before that is known."""
        if self.instance is not None or self.func_name not in ALLOWED:
            raise RefusedJob("a job that is none of ours was refused")
        module, _, function = self.func_name.rpartition(".")
        found: Callable[..., Any] = getattr(import_module(module), function)
        return found

    def restore(self, raw_data: Any) -> Any:
        """Load the job from Redis without its callbacks and webhooks: we set none."""
        restored = super().restore(raw_data)
        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None
        self.webhooks = []
        return restored
