"""Send a request until its answer is definite or the deadline comes: several addresses, retries with jitter, one key.

Only what cannot take a second effect is repeated after a doubt: reads, and commands, whose key the ledger knows. Anything
else is repeated when surely nothing happened, and else ends in OutcomeUnknown.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orderledger.client.connections import Address, Connections, NotAnswered, NotSent, Reply
from orderledger.client.errors import ClientError, OutcomeUnknown, Unavailable, error_of

BACKOFF_S, BACKOFF_S_MAX = 0.05, 1.0
LEAST_ATTEMPT_S = 0.25
"""With less time left nothing is sent any more: it would only make a doubt."""
POSITION, MIN_POSITION = "Ledger-Position", "Ledger-Min-Position"
LATER = frozenset({429, 502, 503, 504})
ACCEPTED = 202
"""A cancellation that its executor has not answered yet: asking again with the key tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent.

    `key`: the idempotency key of a command, else empty. `is_of_any_age`: a read that need not reflect what the client
    has seen.
    """

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    is_read: bool = False
    is_of_any_age: bool = False
    is_dry_run: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice has no second effect."""
        return self.is_read or self.key != ""


class Sender:
    """Sends requests to one service at several addresses. Thread-safe."""

    def __init__(
        self,
        urls: Sequence[str],
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        reads_own_writes: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.addresses = [Address.of(url) for url in urls]
        self.connections = Connections(tls)
        self.timeout_s = timeout_s
        self._headers = dict(headers)
        self._reads_own_writes = reads_own_writes
        self._position = 0
        self._lock = threading.Lock()
        # Clients spread over the addresses; each stays with one as long as it answers.
        self._first = random.randrange(len(self.addresses))

    @property
    def position(self) -> int:
        """The highest position that an answer had."""
        return self._position

    def send(self, request: Request) -> Reply:
        """Return the definite answer, also a refusal. Raises Unavailable or OutcomeUnknown when none came in time."""
        ends_at_s = time.monotonic() + self.timeout_s
        in_doubt, failures = False, 0
        told: ClientError | None = None
        while True:
            in_a_row = failures < len(self.addresses) - 1
            try:
                reply = self._attempt(request, failures, ends_at_s)
            except (NotSent, TimeoutError) as cause:
                error: ClientError = Unavailable(f"no connection: {cause}", key=request.key)
            except NotAnswered as cause:
                in_doubt = True
                error = self._unknown(request, f"no answer: {cause}")
            else:
                if reply.status not in LATER and not (reply.status == ACCEPTED and request.key):
                    if not request.is_dry_run:
                        # A dry run tells a position that nothing has.
                        self._learn_from(reply)
                    return reply
                error = told = self._error(request, reply)
                in_doubt = in_doubt or isinstance(error, OutcomeUnknown)
                in_a_row = False
            if isinstance(error, OutcomeUnknown) and not request.is_repeatable:
                raise error
            wait_s = 0.0 if in_a_row else self._wait_s(failures, error.retry_after_s)
            failures += 1
            if time.monotonic() + wait_s + LEAST_ATTEMPT_S >= ends_at_s:
                # What was answered says more than that nothing was, unless it denies an effect that may have been.
                error = told or error
                if in_doubt and not request.is_read and not isinstance(error, OutcomeUnknown):
                    error = self._unknown(request, error.detail)
                raise error
            time.sleep(wait_s)

    def headers(self, request: Request) -> dict[str, str]:
        """Return all headers of a request."""
        sent = {**self._headers, **request.headers}
        if request.body is not None:
            sent.setdefault("Content-Type", "application/json")
        if request.key:
            sent["Idempotency-Key"] = request.key
        if request.is_read and not request.is_of_any_age and self._reads_own_writes and self._position:
            sent[MIN_POSITION] = str(self._position)
        return sent

    def address(self, failures: int) -> Address:
        """Return where to try after so many failures."""
        return self.addresses[(self._first + failures) % len(self.addresses)]

    def learn(self, position: int) -> None:
        """Have later reads reflect this position."""
        with self._lock:
            self._position = max(self._position, position)

    def _attempt(self, request: Request, failures: int, ends_at_s: float) -> Reply:
        place = (self._first + failures) % len(self.addresses)
        # With another address to turn to, one that is silent gets half of what is left.
        left_s = ends_at_s - time.monotonic()
        attempt_ends_at_s = ends_at_s if len(self.addresses) == 1 else time.monotonic() + left_s / 2
        reply = self.connections.exchange(
            self.addresses[place],
            request.method,
            request.target,
            self.headers(request),
            request.body,
            ends_at_s=attempt_ends_at_s,
            may_reuse=request.is_repeatable,
        )
        if failures and reply.status not in LATER:
            self._first = place
        return reply

    def _error(self, request: Request, reply: Reply) -> ClientError:
        after = reply.headers.get("Retry-After", "")
        retry_after_s = float(after) if after.isdecimal() else None
        if reply.status == ACCEPTED:
            return OutcomeUnknown("the executor has not answered yet", code="cancellation-requested", key=request.key)
        error = error_of(reply.status, reply.body, retry_after_s=retry_after_s, key=request.key)
        if reply.status in (502, 504) and not error.code and not request.is_read:
            # A proxy's word: what stands behind it may have done it.
            return self._unknown(request, error.detail)
        return error

    def _unknown(self, request: Request, detail: str) -> ClientError:
        return Unavailable(detail) if request.is_read else OutcomeUnknown(detail, key=request.key)

    def _learn_from(self, reply: Reply) -> None:
        position = reply.headers.get(POSITION, "")
        if position.isdecimal():
            self.learn(int(position))

    @staticmethod
    def _wait_s(failures: int, retry_after_s: float | None) -> float:
        backoff_s: float = min(BACKOFF_S_MAX, BACKOFF_S * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
        return backoff_s if retry_after_s is None else retry_after_s + backoff_s
