"""An outside executor as cheap as one can be made: `python -m bench.executor_server LATENCY_MS`.

It answers each call to execute after the latency with the whole quantity, and keeps a book: how often it took effect,
whether every repeat was identical, whether the key was the order's id. It prints its port first, and its book for each
line on standard input, until that ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

BACKLOG = 1_024


@dataclass(slots=True)
class Book:
    """What was asked for and delivered since the server began, and how busy it was since it was last read."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    amount: Decimal = Decimal(0)
    delivered: int = 0
    calls: int = 0
    repeats: int = 0
    enquiries: int = 0
    connections: int = 0
    wrong: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    in_flight_s: float = 0.0
    changed_at_s: float = field(default_factory=time.monotonic)

    def execute(self, key: str, body: bytes) -> dict[str, Any]:
        """Take effect once for each key; note what contradicts the protocol."""
        self.calls += 1
        order = json.loads(body)
        known = self.bodies.setdefault(key, body)
        if known is not body:
            self.repeats += 1
            self.wrong += known != body
        else:
            self.amount += Decimal(order["amount"])
            self.delivered += order["quantity"]
            self.wrong += order["order_id"] != key
        return {"status": "completed", "delivered": order["quantity"]}

    def enquire(self, order_id: str) -> dict[str, Any] | None:
        """Say what became of an order; None when it is not known."""
        self.enquiries += 1
        known = self.bodies.get(order_id)
        return None if known is None else {"status": "completed", "delivered": json.loads(known)["quantity"]}

    def change(self, by: int) -> None:
        """Count a call that began or ended."""
        now_s = time.monotonic()
        self.in_flight_s += self.in_flight * (now_s - self.changed_at_s)
        self.changed_at_s = now_s
        self.in_flight += by
        self.in_flight_max = max(self.in_flight_max, self.in_flight)

    def read(self) -> dict[str, Any]:
        """Return the figures; busyness starts anew."""
        self.change(0)
        figures = {
            "orders": len(self.bodies),
            "amount": str(self.amount),
            "delivered": self.delivered,
            "calls": self.calls,
            "repeats": self.repeats,
            "enquiries": self.enquiries,
            "connections": self.connections,
            "wrong": self.wrong,
            "in_flight_max": self.in_flight_max,
            "in_flight_s": self.in_flight_s,
        }
        self.in_flight_max, self.in_flight_s = self.in_flight, 0.0
        return figures


class Conversation(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, book: Book, latency_s: float) -> None:
        self._book = book
        self._latency_s = latency_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._book.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer when the request is whole."""
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received = rest[length:]
        self._book.change(+1)
        method, path, _ = lines[0].split(" ")
        connection = headers.get("connection", "keep-alive")
        arguments = method, path, headers.get("idempotency-key", ""), rest[:length], connection
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, *arguments)
        else:
            self._answer(*arguments)

    def _answer(self, method: str, path: str, key: str, body: bytes, connection: str) -> None:
        document = self._book.execute(key, body) if method == "POST" else self._book.enquire(path.rpartition("/")[2])
        content = json.dumps(document or {}).encode()
        status = "200 OK" if document is not None else "404 Not Found"
        self._book.change(-1)
        self._transport.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
            f"Connection: {connection}\r\n\r\n".encode()
            + content
        )
        if connection == "close":
            self._transport.close()


async def serve(latency_s: float) -> None:
    """Serve until standard input ends."""
    book, loop = Book(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(book, latency_s), "127.0.0.1", 0, backlog=BACKLOG)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    requests = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    while await requests.readline():
        print(json.dumps(book.read()), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) / 1_000))
