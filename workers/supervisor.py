"""Keeps child processes running: starts one per child, starts it again whatever it ended with, and stops them in order.

Each child is a fresh Python process, so threads and connections of the parent are never inherited. A child leads a
session of its own: Ctrl-C reaches the supervisor alone, which then lets each child finish its job.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from workers.stopping import SIGNALS, Stop

RESTART_PAUSE_S_MIN, RESTART_PAUSE_S_MAX = 0.2, 10.0
"""Bounds of the pause before a child is started again, doubled each time it ends early, with jitter."""
SETTLED_S = 30.0
"""A child that lived this long did not end early."""
LOOK_INTERVAL_S = 0.1
KILL_TIMEOUT_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What to run: ``python -m module arguments… <pid of the supervisor>``; `name` is for people."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()


@dataclass(slots=True)
class _Place:
    """A child's place: the process in it, or when the next one starts."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    started_at_s: float = 0.0
    starts_at_s: float = 0.0
    pause_s: float = field(default=RESTART_PAUSE_S_MIN)


def run_supervisor(
    children: Sequence[Child],
    *,
    environment: Mapping[str, str],
    stop_timeout_s: float,
    stop: Stop | None = None,
    started: Callable[[Child, int], object] | None = None,
) -> int:
    """Run the children until SIGTERM, SIGINT or `stop`; return 0 when all then ended in time, else 1.

    Signals are handled only when called in the main thread. `started` is told each child's process id.
    """
    stop = stop or Stop()
    places = [_Place(child) for child in children]
    with _stopping_on_signals(stop):
        try:
            while not stop.is_set():
                for place in places:
                    _look_after(place, environment, started)
                stop.wait(LOOK_INTERVAL_S)
        finally:
            all_ended = _stop(places, stop_timeout_s)
    return 0 if all_ended else 1


def _look_after(place: _Place, environment: Mapping[str, str], started: Callable[[Child, int], object] | None) -> None:
    now_s = time.monotonic()
    if place.process is not None and place.process.poll() is not None:
        early = now_s - place.started_at_s < SETTLED_S
        place.pause_s = min(place.pause_s * 2, RESTART_PAUSE_S_MAX) if early else RESTART_PAUSE_S_MIN
        place.starts_at_s = now_s + place.pause_s * random.uniform(0.5, 1.0)
        _log.warning("worker-ended", worker=place.child.name, exit_code=place.process.returncode)
        place.process = None
    if place.process is None and now_s >= place.starts_at_s:
        place.started_at_s = now_s
        place.process = _start(place.child, environment)
        _log.info("worker-started", worker=place.child.name, pid=place.process.pid)
        if started is not None:
            started(place.child, place.process.pid)


def _start(child: Child, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # -P: a folder called workers in the current directory is not ours.
    code = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join([code, *filter(None, [environment.get("PYTHONPATH", "")])])
    command = [sys.executable, "-P", "-m", child.module, *child.arguments, str(os.getpid())]
    return subprocess.Popen(
        command, env={**environment, "PYTHONPATH": path}, stdin=subprocess.DEVNULL, start_new_session=True
    )


def _stop(places: Sequence[_Place], stop_timeout_s: float) -> bool:
    running = [place.process for place in places if place.process is not None]
    for process in running:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    ends_at_s = time.monotonic() + stop_timeout_s
    all_ended = True
    for process in running:
        try:
            process.wait(max(0.0, ends_at_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            all_ended = False
            _log.warning("worker-killed", pid=process.pid)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(KILL_TIMEOUT_S)
    return all_ended


@contextmanager
def _stopping_on_signals(stop: Stop) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop.on_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
