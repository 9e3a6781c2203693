"""Connections to executors: each operation ends at a deadline, and an idle connection serves the next call.

What a kept connection must not do is give one call the answer to another. It is kept only when the answer ended where
it said it would and nothing came after it, and used again only within IDLE_S_MAX and when nothing has come since, an
end included. A connection that the other side closes just as it is used leaves its call unanswered, and an enquiry
follows, as after any answer that does not come.
"""

from __future__ import annotations

import io
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

IDLE_S_MAX = 2.0
"""How long a connection waits for its next call; servers commonly wait 5 s or longer before they close one."""
LIMIT_TOLERANCE_S = 0.01
IDLE_MAX = 1_000
"""Connections that are kept for one executor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a connection leads, and whether that may be a private address."""

    scheme: str
    host: str
    port: int
    allow_private: bool


class Connection:
    """A connected socket as http.client uses one, with a deadline on the monotonic clock for all it does."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self.idle_since_s = 0.0
        self._socket = connected
        self._receiver = _Receiver(connected, deadline)
        self._reader = _Reader(self._receiver)

    def begin(self, deadline: float) -> None:
        """Set the deadline of the next call."""
        self._receiver.deadline = deadline

    def sendall(self, data: bytes) -> None:
        """Send everything. Raises TimeoutError at the deadline."""
        self._receiver.limit()
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what is received, to be read."""
        return self._reader

    def close(self) -> None:
        """Do nothing: http.client says this before a last answer has been read."""

    def is_read_up(self) -> bool:
        """Say whether nothing was received that has not been read."""
        self._receiver.deadline = None
        return not self._reader.peek(1)

    def is_silent(self) -> bool:
        """Say whether nothing has come, not even an end."""
        look = select.poll()
        look.register(self._socket, select.POLLIN)
        return not look.poll(0)

    def shut(self) -> None:
        """Close the socket."""
        with suppress(OSError):
            self._socket.close()


class Connections:
    """The idle connections of one executor, the latest used first; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: deque[tuple[Origin, Connection]] = deque(maxlen=IDLE_MAX)
        self._closes_later = False

    def take(self, origin: Origin) -> Connection | None:
        """Return a connection that can be used now."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                kept_for, connection = self._idle.pop()
            is_fresh = time.monotonic() - connection.idle_since_s < IDLE_S_MAX
            if kept_for == origin and is_fresh and connection.is_silent():
                return connection
            connection.shut()

    def keep(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next call, if it is fit for one."""
        if not connection.is_read_up():
            connection.shut()
            return
        connection.idle_since_s = time.monotonic()
        with self._lock:
            self._idle.append((origin, connection))
            if self._closes_later:
                return
            self._closes_later = True
        self._close_later()

    def _close_later(self) -> None:
        timer = threading.Timer(IDLE_S_MAX, self._close_idle)
        timer.daemon = True
        timer.start()

    def _close_idle(self) -> None:
        """Close what no call came for, so that an agent at rest holds nothing open."""
        oldest_s = time.monotonic() - IDLE_S_MAX
        with self._lock:
            while self._idle and self._idle[0][1].idle_since_s <= oldest_s:
                self._idle.popleft()[1].shut()
            self._closes_later = bool(self._idle)
            if not self._idle:
                return
        self._close_later()


class _Receiver(io.RawIOBase):
    """Receives until a deadline, and nothing without one."""

    def __init__(self, connected: socket.socket, deadline: float | None) -> None:
        self.deadline = deadline
        self._socket = connected
        self._limit_s = 0.0

    def limit(self) -> None:
        """Let the socket's next operation take no longer than there is time. Raises TimeoutError when there is none.

        A socket's time-out starts anew with every byte; what trickles must end all the same.
        """
        remaining_s = (self.deadline or 0.0) - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        # Setting it hands the interpreter to another thread, so what is right to a few milliseconds stays.
        if not remaining_s <= self._limit_s < remaining_s + LIMIT_TOLERANCE_S:
            self._limit_s = remaining_s
            self._socket.settimeout(remaining_s)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive. Raises TimeoutError."""
        if self.deadline is None:
            return None
        self.limit()
        return self._socket.recv_into(buffer)


class _Reader(io.BufferedReader):
    """Outlives the answers that are read from it."""

    def close(self) -> None:
        """Do nothing."""
