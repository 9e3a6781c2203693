"""A client that sends at a set rate whether or not answers come, as a crowd does: for overload.

One thread, sockets told apart by epoll. A request whose connection was lost counts as such and is not repeated.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

PIECE_BYTES = 1 << 16
LAST_ANSWERS_S_MAX = 15.0
LOST = 0
"""The status of a request whose connection was lost."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request's key, when it was sent (seconds since the start), its status, and how long its answer took."""

    key: str
    at_s: float
    status: int
    took_s: float


@dataclass(slots=True)
class Run:
    """What was sent, and how many were not, because every connection was busy."""

    sent: list[Sent] = field(default_factory=list)
    unsent: int = 0

    def statuses(self) -> Counter[int]:
        """Count the answers by status."""
        return Counter(each.status for each in self.sent)

    def slowest_s(self, status: int) -> float:
        """Return the longest that an answer of this status took."""
        return max((each.took_s for each in self.sent if each.status == status), default=0.0)


class _Connection:
    __slots__ = ("answer", "key", "sent_s", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LAST_ANSWERS_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.key, self.sent_s, self.answer = "", 0.0, b""


def send(
    port: int, *, rate: float, seconds: float, connections_max: int, request: Callable[[int], tuple[str, bytes]]
) -> Run:
    """Send `rate` requests a second; `request` makes the key and the bytes of the n-th."""
    run, idle, busy = Run(), [], {}
    began_s = time.perf_counter()
    number = 0
    with select.epoll() as poll:

        def end(connection: _Connection, status: int, *, keeps: bool) -> None:
            now_s = time.perf_counter()
            run.sent.append(Sent(connection.key, connection.sent_s - began_s, status, now_s - connection.sent_s))
            del busy[connection.socket.fileno()]
            if keeps:
                idle.append(connection)
            else:
                poll.unregister(connection.socket)
                connection.socket.close()

        while True:
            now_s = time.perf_counter() - began_s
            if now_s >= seconds and (not busy or now_s >= seconds + LAST_ANSWERS_S_MAX):
                break
            while number < rate * min(now_s, seconds):
                number += 1
                if not idle and len(busy) >= connections_max:
                    run.unsent += 1
                    continue
                connection = idle.pop() if idle else None
                if connection is None:
                    connection = _Connection(port)
                    poll.register(connection.socket, select.EPOLLIN)
                connection.key, data = request(number)
                connection.sent_s, connection.answer = time.perf_counter(), b""
                busy[connection.socket.fileno()] = connection
                try:
                    connection.socket.sendall(data)
                except OSError:
                    end(connection, LOST, keeps=False)
            for descriptor, _ in poll.poll(0.001):
                connection = busy.get(descriptor)
                if connection is None:
                    gone = next(each for each in idle if each.socket.fileno() == descriptor)
                    idle.remove(gone)
                    poll.unregister(descriptor)
                    gone.socket.close()
                    continue
                try:
                    piece = connection.socket.recv(PIECE_BYTES)
                except OSError:
                    piece = b""
                connection.answer += piece
                if not piece:
                    end(connection, LOST, keeps=False)
                elif _is_whole(connection.answer):
                    end(connection, int(connection.answer[9:12]), keeps=True)
        for connection in [*idle, *busy.values()]:
            connection.socket.close()
    run.sent += [Sent(each.key, each.sent_s - began_s, LOST, LAST_ANSWERS_S_MAX) for each in busy.values()]
    return run


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length)
