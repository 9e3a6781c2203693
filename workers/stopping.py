"""Telling a process to stop, by a signal that may come at any moment.

Python runs a signal's handler in the main thread between any two steps of whatever it does. A `threading.Event` is not
made for that: `set` takes the lock that an interrupted `wait` of the same thread may hold, and the process hangs for
ever. `SimpleQueue.put` is documented to be safe there.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

LOOK_INTERVAL_S = 1.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether to stop, once and for all. May be set by a signal's handler and by any thread; any thread may wait."""

    def __init__(self) -> None:
        self._is_set = False
        self._told: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether somebody said so."""
        return self._is_set

    def set(self) -> None:
        """Say so."""
        self._is_set = True
        self._told.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody says so, or the time is over; say whether somebody did."""
        ends_at_s = time.monotonic() + timeout_s
        while not self._is_set and (left_s := ends_at_s - time.monotonic()) > 0:
            # In slices: a signal that the system gave to another thread does not end the wait of the main one.
            with suppress(Empty):
                self._told.get(timeout=min(left_s, LOOK_INTERVAL_S))
                # Others may wait too.
                self._told.put(None)
        return self._is_set

    def on_signals(self) -> None:
        """Be set by SIGTERM and SIGINT. Only in the main thread."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: self.set())
