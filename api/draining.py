"""How a server process takes its leave: first it tells everybody, for a while, then it stops.

While it drains, every request is answered as ever, on a connection that is closed behind the answer; `/readyz` says no;
streams come to their end. So when the listener closes, nobody relies on a connection of ours: a request that arrives on
one in the moment in which it is closed is lost, and only its sender could know whether to repeat it.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TELL = signal.SIGUSR2
"""What a server sends its workers when it begins to drain."""
RETRY_MS_MIN, RETRY_MS_MAX = 200, 1_500
"""When the readers of a stream that ends are to come again: not all at once."""


class Draining:
    """Whether this process drains, and since when. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._since_s = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it drains."""
        return self._event.is_set()

    @property
    def for_s(self) -> float:
        """How long it has been draining, in seconds; 0 when it is not."""
        return time.monotonic() - self._since_s if self.is_on else 0.0

    def begin(self) -> None:
        """Drain from now on."""
        if not self.is_on:
            self._since_s = time.monotonic()
            self._event.set()

    def begin_when_told(self) -> None:
        """Drain once the server says so; in a thread beside the main one, which no signal reaches, never."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(TELL, lambda *_: self.begin())

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
