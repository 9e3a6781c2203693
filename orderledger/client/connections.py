"""Connections to the API's addresses, kept and used again by many threads; one exchange at a time, each with a deadline."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import cast
from urllib.parse import urlsplit

CONNECT_S_MAX = 2.0
IDLE_S_MAX = 30.0
IDLE_CONNECTIONS_MAX = 64
"""Connections kept for each address."""
PIECE_BYTES = 1 << 16


class NotSent(Exception):
    """No connection, hence no effect."""


class NotAnswered(Exception):
    """The request, or a part of it, was sent, and no whole answer came."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an API listens."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a URL such as ``https://ledger.example.org``. Raises ValueError for what is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"expected a URL such as https://ledger.example.org, got {url!r}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `headers` know their names in any case."""

    status: int
    headers: Message
    body: bytes


class Connections:
    """Connections to several addresses. Thread-safe."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._idle: dict[Address, list[tuple[float, http.client.HTTPConnection]]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def exchange(
        self,
        address: Address,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        ends_at_s: float,
        may_reuse: bool = True,
    ) -> Reply:
        """Send a request and return its answer by then (monotonic clock). Raises NotSent, NotAnswered."""
        connection = (self._kept(address) if may_reuse else None) or self._connected(address, ends_at_s)
        answer: http.client.HTTPResponse | None = None
        wire = cast(socket.socket, connection.sock)
        try:
            wire.settimeout(_left_s(ends_at_s))
            connection.request(method, address.prefix + target, body, dict(headers))
            answer = connection.getresponse()
            pieces = []
            while piece := answer.read1(PIECE_BYTES):
                pieces.append(piece)
                wire.settimeout(_left_s(ends_at_s))
            # Read piece by piece, an answer does not notice its end by itself, and its connection would be of no more use.
            answer.close()
            if answer.length:
                raise NotAnswered("the answer ended early")
            reply = Reply(answer.status, answer.headers, b"".join(pieces))
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise NotAnswered(f"{type(error).__name__}: {error}") from error
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._keep(address, connection)
        return reply

    def open(
        self, address: Address, target: str, headers: Mapping[str, str], *, ends_at_s: float, silence_s: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a GET whose answer is read piece by piece; a silence longer than that then raises OSError.

        The caller closes the connection. Raises NotSent, NotAnswered.
        """
        connection = self._connected(address, ends_at_s)
        try:
            wire = cast(socket.socket, connection.sock)
            wire.settimeout(_left_s(ends_at_s))
            connection.request("GET", address.prefix + target, headers=dict(headers))
            answer = connection.getresponse()
            wire.settimeout(silence_s)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotAnswered(f"{type(error).__name__}: {error}") from error
        return connection, answer

    def close(self) -> None:
        """Close what is kept; connections in use are closed when their exchange ends."""
        with self._lock:
            self._is_closed = True
            kept, self._idle = self._idle, {}
        for waiting in kept.values():
            for _, connection in waiting:
                connection.close()

    def _kept(self, address: Address) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                waiting = self._idle.get(address)
                if not waiting:
                    return None
                since_s, connection = waiting.pop()
            # One that the server has closed meanwhile is readable.
            is_quiet = connection.sock is not None and not _is_readable(connection.sock)
            if is_quiet and time.monotonic() - since_s < IDLE_S_MAX:
                return connection
            connection.close()

    def _keep(self, address: Address, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            waiting = self._idle.setdefault(address, [])
            if not self._is_closed and len(waiting) < IDLE_CONNECTIONS_MAX:
                waiting.append((time.monotonic(), connection))
                return
        connection.close()

    def _connected(self, address: Address, ends_at_s: float) -> http.client.HTTPConnection:
        timeout_s = min(CONNECT_S_MAX, _left_s(ends_at_s))
        connection: http.client.HTTPConnection
        if address.scheme == "https":
            context = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(address.host, address.port, timeout=timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotSent(f"{address.host}:{address.port}: {error}") from error
        return connection


def _is_readable(wire: socket.socket) -> bool:
    # Where there is poll(), it takes any descriptor; select() none of 1024 or more.
    if not hasattr(select, "poll"):
        return bool(select.select([wire], [], [], 0)[0])
    looking = select.poll()
    looking.register(wire, select.POLLIN)
    return bool(looking.poll(0))


def _left_s(ends_at_s: float) -> float:
    left_s = ends_at_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the deadline has passed")
    return left_s
