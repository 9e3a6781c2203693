"""The closed-loop client for batches, and where `wrk` is not installed: one thread, sockets told apart by epoll.

`python -m bench.http.client PORT CONNECTIONS SECONDS LOAD ACCOUNTS SIZE TOKEN PREFIX` prints what load.lua prints. It
takes several times the processor time that wrk does for single commands, which the figures then show as the client's;
but it counts the batches that are on their way when the time is over, which may be a good part of all.
"""

from __future__ import annotations

import json
import random
import re
import select
import socket
import sys
import time
from dataclasses import dataclass, field

REFERENCE = "order placed from the web shop"
PIECE_BYTES = 1 << 18
WAIT_S_MAX = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
_PLACED = re.compile(rb'"order":{"id":"(ord_[0-9a-f]+)"')


def main() -> None:
    """Send requests for the time given and print what came of them."""
    port, connections, seconds, load, accounts, size, token, prefix = sys.argv[1:]
    requests = Requests(load=load, accounts=int(accounts), size=int(size), token=token, prefix=prefix)
    print(json.dumps(run(int(port), int(connections), float(seconds), requests)))


@dataclass(slots=True, kw_only=True)
class Requests:
    """Makes the requests of a load, and learns from the answers which orders can be cancelled."""

    load: str
    accounts: int
    size: int
    token: str
    prefix: str
    sent: int = 0
    placed: list[str] = field(default_factory=list)

    def next(self) -> bytes:
        """Return a whole request."""
        if self.load == "batch":
            commands = ",".join(self._command() for _ in range(self.size))
            return self._post("/v1/batches", f'{{"commands":[{commands}]}}')
        chance = random.random() if self.load == "mixed" else 0.0
        if chance < 0.7:
            kind = "deductions" if chance < 0.4 else "recharges"
            body = f'{{"amount": "0.01", "reference": "{REFERENCE}"}}'
            return self._post(f"/v1/customers/{self._account()}/{kind}", body)
        if chance < 0.9 or not self.placed:
            body = f'{{"customer_id": "{self._account()}", "product": "bench", "quantity": 1}}'
            return self._post("/v1/orders", body)
        return self._post(f"/v1/orders/{self.placed.pop()}/cancellation", "{}")

    def learn(self, answer: bytes) -> None:
        """Remember an order that was placed."""
        if self.load == "mixed" and b'"type":"order.placed"' in answer and (found := _PLACED.search(answer)):
            self.placed.append(found[1].decode())

    def _command(self) -> str:
        return (
            f'{{"type":"deduction","customer_id":"{self._account()}","amount":"0.01","reference":"{REFERENCE}",'
            f'"idempotency_key":"{self._key()}"}}'
        )

    def _post(self, path: str, body: str) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {self._key()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode("ascii")

    def _account(self) -> str:
        return f"cus_{random.randint(1, self.accounts):032x}"

    def _key(self) -> str:
        self.sent += 1
        return f"{self.prefix}{self.sent}"


class Connection:
    """One connection with the request that waits for its answer."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = b""
        self._size = 0
        self.started = 0.0

    def send(self, request: bytes) -> None:
        """Begin the next request."""
        self._answer, self._size = b"", 0
        self.started = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Return the answer when it is whole. Raises ConnectionError."""
        piece = self.socket.recv(PIECE_BYTES)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self._answer += piece
        if not self._size:
            end = self._answer.find(b"\r\n\r\n")
            length = _LENGTH.search(self._answer, 0, end + 2) if end > 0 else None
            if length is None:
                return None
            self._size = end + 4 + int(length[1])
        return self._answer if len(self._answer) >= self._size else None


def run(port: int, connections: int, seconds: float, requests: Requests) -> dict[str, float]:
    """Keep every connection busy until the time is over, and wait for the last answers."""
    waits, refused = [], 0
    busy = {each.socket.fileno(): each for each in [Connection(port) for _ in range(connections)]}
    with select.epoll() as poll:
        for number, each in busy.items():
            poll.register(number, select.EPOLLIN)
            each.send(requests.next())
        started = time.perf_counter()
        while busy:
            arrived = poll.poll(WAIT_S_MAX)
            if not arrived:
                break
            for number, _ in arrived:
                answer = busy[number].receive()
                if answer is None:
                    continue
                now = time.perf_counter()
                waits.append(now - busy[number].started)
                refused += answer[9:10] not in b"23"
                requests.learn(answer)
                if now - started < seconds:
                    busy[number].send(requests.next())
                else:
                    poll.unregister(number)
                    busy.pop(number).socket.close()
        took = time.perf_counter() - started
    waits.sort()
    quantiles = {f"p{share}_us": round(waits[len(waits) * share // 100] * 1e6) if waits else 0 for share in (50, 99)}
    return {"requests": len(waits), "seconds": took, "refused": refused, "lost": len(busy), **quantiles}


if __name__ == "__main__":
    main()
