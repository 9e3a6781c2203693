"""One HTTP call that surely ends: one deadline over resolving, connecting, sending and the whole answer.

Redirects are not followed and nothing is repeated.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.parse import SplitResult, urlsplit

from workers.executors.addresses import Unresolved, addresses_of
from workers.executors.connections import Connection, Connections, Origin

ANSWER_BYTES_MAX = 64 * 1024
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that arrived whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """No whole answer arrived; `problem` names how it went wrong, `status` is that of an answer that was too large."""

    def __init__(self, problem: str, *, status: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def call(request: Request, *, timeout_s: float, allow_private: bool, connections: Connections) -> Answer:
    """Send the request and return the answer. Raises NoAnswer, or AddressRefused before anything is sent."""
    deadline = time.monotonic() + timeout_s
    parts = urlsplit(request.url)
    origin = Origin(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        allow_private=allow_private,
    )
    connection = connections.take(origin) or _connect(origin, deadline)
    is_whole = False
    try:
        connection.begin(deadline)
        answer, is_whole = _exchange(connection, request, _target(parts), parts.netloc, deadline)
    finally:
        if is_whole:
            connections.keep(origin, connection)
        else:
            connection.shut()
    return answer


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _connect(origin: Origin, deadline: float) -> Connection:
    """Connect to an address of the origin, each checked before. Raises NoAnswer, AddressRefused."""
    try:
        addresses = addresses_of(
            origin.host, origin.port, allow_private=origin.allow_private, timeout_s=_remaining_s(deadline)
        )
    except Unresolved:
        raise NoAnswer("name-not-resolved") from None
    for address in addresses:
        try:
            connected = socket.create_connection((address, origin.port), timeout=_remaining_s(deadline))
        except OSError:
            continue
        with suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if origin.scheme == "https":
            connected = _secured(connected, origin.host, deadline)
        return Connection(connected, deadline)
    raise NoAnswer("unreachable")


def _secured(connected: socket.socket, host: str, deadline: float) -> socket.socket:
    try:
        connected.settimeout(_remaining_s(deadline))
        return _tls().wrap_socket(connected, server_hostname=host)
    except (OSError, ValueError):
        connected.close()
        raise NoAnswer("tls-failed") from None


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _exchange(connection: Connection, request: Request, path: str, host: str, deadline: float) -> tuple[Answer, bool]:
    """Return the answer, and whether the connection is fit for another call."""
    response = HTTPResponse(cast(socket.socket, connection), method=request.method)
    try:
        connection.sendall(_message(request, path, host))
        response.begin()
        body = response.read(ANSWER_BYTES_MAX + 1)
        if len(body) > ANSWER_BYTES_MAX:
            raise NoAnswer("answer-too-large", status=response.status)
        if response.length:
            raise NoAnswer("answer-broken")
    except TimeoutError:
        raise NoAnswer("timeout") from None
    except (HTTPException, OSError, ValueError):
        raise NoAnswer("timeout" if time.monotonic() >= deadline else "answer-broken") from None
    if time.monotonic() >= deadline:
        raise NoAnswer("timeout")
    # After an interim answer (1xx) the final one would come to the next call.
    is_reusable = response.status >= 200 and response.isclosed() and not response.will_close
    headers = cast(Mapping[str, str], response.headers)
    return Answer(status=response.status, headers=headers, body=body), is_reusable


def _message(request: Request, path: str, host: str) -> bytes:
    """Return the whole request, so that it is sent at once. Raises ValueError for a text that could be taken for more."""
    headers = {
        "Host": host,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "orderledger",
        **request.headers,
    }
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if " " in path or not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("a line of the request holds what no header may")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (request.body or b"")


def _remaining_s(deadline: float) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise NoAnswer("timeout")
    return remaining_s
