"""One HTTP call that surely ends: one deadline over resolving, connecting, sending and the whole answer.

Every call has a connection of its own: a kept-alive connection that the other side closed meanwhile would leave it
unknown whether the call arrived. Redirects are not followed and nothing is repeated.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from workers.executors.addresses import Unresolved, addresses_of

ANSWER_BYTES_MAX = 64 * 1024
_CHUNK_BYTES = 16 * 1024
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that arrived whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """No whole answer arrived; `code` says how it went wrong."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def call(request: Request, *, timeout_s: float, allow_private: bool) -> Answer:
    """Send the request and return the answer. Raises NoAnswer, or AddressRefused before anything is sent."""
    deadline = time.monotonic() + timeout_s
    parts = urlsplit(request.url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        addresses = addresses_of(host, port, allow_private=allow_private, timeout_s=timeout_s)
    except Unresolved:
        raise NoAnswer("executor-name-not-resolved") from None
    connection = _connect(parts.scheme, host, port, addresses, deadline)
    # A socket time-out starts anew with every byte; only closing the socket ends an answer that trickles.
    watchdog = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, (connection,))
    watchdog.daemon = True
    watchdog.start()
    try:
        return _exchange(connection, request, parts.path or "/", parts.netloc, deadline)
    finally:
        watchdog.cancel()
        connection.close()


def _connect(scheme: str, host: str, port: int, addresses: list[str], deadline: float) -> HTTPConnection:
    for address in addresses:
        connection = _connection(scheme, host, port, address, _remaining_s(deadline))
        try:
            connection.connect()
        except (NewConnectionError, ConnectTimeoutError):
            continue
        except (HTTPError, OSError):
            connection.close()
            raise NoAnswer("executor-tls-failed" if scheme == "https" else "executor-unreachable") from None
        return connection
    raise NoAnswer("executor-unreachable")


def _connection(scheme: str, host: str, port: int, address: str, timeout_s: float) -> HTTPConnection:
    if scheme == "http":
        return HTTPConnection(address, port, timeout=timeout_s)
    return HTTPSConnection(
        address, port, timeout=timeout_s, ssl_context=_tls(), server_hostname=host, assert_hostname=host
    )


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _exchange(connection: HTTPConnection, request: Request, path: str, host: str, deadline: float) -> Answer:
    headers = {
        "Host": host,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "orderledger",
        "Connection": "close",
    }
    try:
        if connection.sock is not None:
            connection.sock.settimeout(_remaining_s(deadline))
        connection.request(
            request.method, path, body=request.body, headers=headers | dict(request.headers), preload_content=False
        )
        response = connection.getresponse()
        body = b""
        for chunk in response.stream(_CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                raise NoAnswer("executor-answer-too-large")
    except TimeoutError:
        raise NoAnswer("executor-timeout") from None
    except (HTTPError, HTTPException, OSError, ValueError):
        raise NoAnswer("executor-timeout" if time.monotonic() >= deadline else "executor-answer-broken") from None
    if time.monotonic() >= deadline:
        raise NoAnswer("executor-timeout")
    return Answer(status=response.status, headers=response.headers, body=body)


def _remaining_s(deadline: float) -> float:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0:
        raise NoAnswer("executor-timeout")
    return remaining_s


def _shut(connection: HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
