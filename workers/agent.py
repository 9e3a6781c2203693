"""The agent in a worker process: one thread that runs a runner, and the job that wakes it. The courier runs the same way.

The thread outlives the job, so that a slow call neither holds the queue up nor loses its answer when the job ends. It
claims only while a job wants it to; what is under way it records in any case.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from workers.settings import RUN_S

FAILURE_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


class Runs(Protocol):
    """What the thread runs; everything but `wake` is called from that thread alone."""

    def advance(self, *, claiming: bool) -> float | None:
        """Take a turn and return how long to wait for the next, None when nothing is under way or due soon."""

    def wait(self, wait_s: float) -> None:
        """Wait until something comes back, someone wakes it, or the time is over."""

    def wake(self) -> None:
        """End a wait."""

    def close(self) -> None:
        """Finish what is under way and begin nothing more."""


def end_this_process() -> None:
    """Let this process end as if it was told to; its supervisor starts another."""
    os.kill(os.getpid(), signal.SIGTERM)


class Agent:
    """The thread of a process's runner.

    `wake_later` asks for another job; it is called when a job's time was too short. `job_begins` is called first in each
    job: from then on a wake-up must cause another job, for this one may have looked already. `end_process` is called when
    the thread ends without having been told to.
    """

    def __init__(
        self,
        runner: Runs,
        wake_later: Callable[[], object],
        *,
        job_begins: Callable[[], object] = lambda: None,
        end_process: Callable[[], object] = end_this_process,
    ) -> None:
        self._runner = runner
        self._wake_later = wake_later
        self._job_begins = job_begins
        self._end_process = end_process
        self._changed = threading.Condition()
        self._claims_until_s = 0.0
        self._wanted = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self._thread.start()

    def work(self, run_s: float = RUN_S) -> None:
        """Let the runner claim what is due until nothing is, at most `run_s`."""
        self._job_begins()
        ends_at_s = time.monotonic() + run_s
        with self._changed:
            self._claims_until_s = ends_at_s
            self._wanted += 1
            self._changed.notify_all()
        self._runner.wake()
        with self._changed:
            is_done = self._changed.wait_for(lambda: self._claims_until_s == 0.0 or self._closing, timeout=run_s)
        if not is_done:
            self._wake_later()

    def close(self) -> None:
        """Finish what is under way and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._runner.wake()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._take_turns()
        except BaseException:  # noqa: BLE001 - The edge of a thread without which the process takes jobs and does none.
            _log.exception("agent-ended-abruptly")
            if not self._closing:
                self._end_process()
            with self._changed:
                # A job must not wait for what will never be done.
                self._closing = True
                self._changed.notify_all()

    def _take_turns(self) -> None:
        while not self._closing:
            with self._changed:
                wanted, claiming = self._wanted, time.monotonic() < self._claims_until_s
            try:
                wait_s = self._runner.advance(claiming=claiming)
            except Exception:  # noqa: BLE001 - The edge of a thread: one order's bad data must not stop the others.
                _log.exception("turn-ended-abruptly")
                wait_s = FAILURE_PAUSE_S
            if wait_s is None:
                self._rest(wanted)
            else:
                self._runner.wait(wait_s)
        self._runner.close()

    def _rest(self, wanted: int) -> None:
        """Tell the job that nothing is due, and sleep until the next one, unless one came meanwhile."""
        with self._changed:
            if self._wanted == wanted:
                self._claims_until_s = 0.0
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._claims_until_s > 0.0 or self._closing)


_installed: Agent | None = None


def install(agent: Agent) -> None:
    """Make this process's jobs use the agent; the worker's entry point does so once."""
    global _installed
    _installed = agent


def run_agent() -> None:
    """Execute what is due: the RQ job that a wake-up runs."""
    if _installed is None:
        raise RuntimeError("no agent is installed in this process; start it by `orderledger worker agent`")
    _installed.work()
