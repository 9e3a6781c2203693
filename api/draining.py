"""How a server process takes its leave: first it tells everybody, for a while, then it stops.

While it drains, every request is answered as ever, on a connection that is closed behind the answer; `/readyz` says no;
streams come to their end. So when the listener closes, nobody relies on a connection of ours: a request that arrives on
one in the moment in which it is closed is lost, and only its sender could know whether to repeat it.
"""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TELL = signal.SIGUSR2
"""What a server sends its workers when it begins to drain."""
NOBODY = -1
"""What the file for the notes is when there is none."""
RETRY_MS_MIN, RETRY_MS_MAX = 200, 1_500
"""When the readers of a stream that ends are to come again: not all at once."""


class Draining:
    """Whether this process drains, and since when. Thread-safe."""

    def __init__(self) -> None:
        # No lock: a signal's handler sets it, at any moment.
        self._since_s: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it drains."""
        return self._since_s is not None

    @property
    def for_s(self) -> float:
        """How long it has been draining, in seconds; 0 when it is not."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s

    def begin(self) -> None:
        """Drain from now on."""
        if not self.is_on:
            self._since_s = time.monotonic()

    def begin_when_told(self) -> None:
        """Drain once the server says so. In a thread beside the main one, which no signal reaches, never.

        The system gives a signal to any thread of the process, and Python notes it for the main one without waking it.
        A server's main thread sleeps until its end: so the notes go to a thread that is awake for them.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        signal.signal(TELL, lambda *_: self.begin())
        notes, written = socket.socketpair()
        written.setblocking(False)
        others = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        if others != NOBODY:
            # The server is awake for them by itself.
            signal.set_wakeup_fd(others)
            return
        written.detach()
        threading.Thread(target=self._listen, args=(notes,), name="signals", daemon=True).start()

    def _listen(self, notes: socket.socket) -> None:
        while number := notes.recv(1):
            self.begin()
            if number[0] != TELL:
                # Told to end. Its handler runs as soon as the main thread wakes, for whatever signal of its own.
                signal.pthread_kill(cast(int, threading.main_thread().ident), TELL)

    def parting(self) -> bytes:
        """Return the last piece of an event stream that ends because of it."""
        return b": draining\nretry: %d\n\n" % random.randint(RETRY_MS_MIN, RETRY_MS_MAX)

    def closing(self, inner: WSGIApplication) -> WSGIApplication:
        """Return the application, whose answers close their connections while it drains."""

        def outer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
            def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
                return start(status, [*headers, ("Connection", "close")] if self.is_on else headers, *more)

            return inner(environment, begin)

        return outer
