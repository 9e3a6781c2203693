"""How many requests one process works on at a time, and how many may wait for their turn: the rest are refused at once.

A server that takes whatever comes answers everybody late when more comes than it can do. Here what is refused is refused
before anything was looked at, so surely without effect, and what is taken is answered in time.

A turn ends when the answer was made, or when the last piece of one that is sent in pieces was.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from api.answers import SECURITY_HEADERS, problem_answer, request_id
from api.routing import Call
from api.services import Services
from api.settings import ApiSettings
from ledger.errors import NothingRecorded

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ALWAYS_ADMITTED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What tells an operator that the service is overloaded."""
ROUTE = "refused"
"""What the refusals are counted under: no route was looked for."""
_STATUS_LINE = f"503 {HTTPStatus.SERVICE_UNAVAILABLE.phrase.upper()}"


class Admission:
    """A WSGI application in front of all others."""

    def __init__(self, inner: WSGIApplication, services: Callable[[], Services], settings: ApiSettings) -> None:
        self._inner = inner
        self._services = services
        self._turns = Turns(
            at_once=settings.api_threads, waiting_max=settings.api_queue_max, wait_s=settings.api_queue_wait_s
        )

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Let the request have its turn, or refuse it."""
        if environment["PATH_INFO"] in ALWAYS_ADMITTED:
            return self._inner(environment, start)
        began = time.perf_counter()
        if not self._turns.take():
            return self._refused(environment, start, began)
        try:
            body = self._inner(environment, start)
        except BaseException:
            self._turns.give_back()
            raise
        if isinstance(body, list):
            self._turns.give_back()
            return body
        return _Pieces(body, self._turns.give_back)

    def _refused(self, environment: WSGIEnvironment, start: StartResponse, began: float) -> Iterable[bytes]:
        services = self._services()
        call = Call(services, request_id(environment.get("HTTP_X_REQUEST_ID", "")), None, {}, {}, None, "")
        error = NothingRecorded(reason="more requests come than can be answered")
        answer = problem_answer(error, call, ROUTE)
        body = str(answer.body).encode("ascii")
        services.metrics.observe(ROUTE, answer.status, time.perf_counter() - began)
        headers = [
            ("Content-Type", answer.media_type),
            ("Content-Length", str(len(body))),
            *answer.headers.items(),
            ("X-Request-Id", call.request_id),
            *SECURITY_HEADERS.items(),
        ]
        start(_STATUS_LINE, headers)
        return [body]


class Turns:
    """Turns for so many at once; so many more wait, first come, first served, a moment at most. Thread-safe."""

    def __init__(self, *, at_once: int, waiting_max: int, wait_s: float) -> None:
        self._free = at_once
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def take(self) -> bool:
        """Wait for a turn; say whether there is one, to be given back."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            if len(self._waiting) >= self._waiting_max:
                return False
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        if gate.acquire(timeout=self._wait_s):
            return True
        with self._lock:
            if gate not in self._waiting:
                return True  # The turn came while we gave up.
            self._waiting.remove(gate)
            return False

    def give_back(self) -> None:
        """End a turn: the first who waits has it next."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class _Pieces:
    """The pieces of an answer; its turn ends with them."""

    def __init__(self, pieces: Iterable[bytes], end: Callable[[], None]) -> None:
        self._pieces = pieces
        self._end: Callable[[], None] | None = end

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        """End: the server calls this also when the client has gone."""
        end, self._end = self._end, None
        try:
            getattr(self._pieces, "close", lambda: None)()
        finally:
            if end is not None:
                end()
