"""The job that wakes a process's courier."""

from __future__ import annotations

import time
from collections.abc import Callable

from workers.agent import Agent

GATHER_S = 0.02
"""How long a job waits before it looks: on a busy ledger every commit would cost a job of its own otherwise."""

_installed: Agent | None = None


def install(courier: Agent) -> None:
    """Make this process's jobs use the courier; the worker's entry point does so once."""
    global _installed
    _installed = courier


def gather(begin: Callable[[], object]) -> None:
    """Wait a moment for more commits, then begin."""
    time.sleep(GATHER_S)
    begin()


def run_webhooks() -> None:
    """Deliver what is due: the RQ job that a wake-up runs."""
    if _installed is None:
        raise RuntimeError("no courier is installed in this process; start it by `orderledger worker webhooks`")
    _installed.work()
