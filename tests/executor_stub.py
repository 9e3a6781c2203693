"""An outside executor for tests: a real HTTP server with its own book, told beforehand how to behave."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at_us: int


@dataclass(slots=True)
class Reply:
    """What to answer; `silent` closes the connection instead, `raw` replaces the whole answer's bytes."""

    status: int = 200
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    silent: bool = False
    trickle_s: float = 0.0
    raw: bytes | None = None


Behaviour = Callable[["ExecutorStub", Call], Reply | None]


class ExecutorStub:
    """The server. By default it delivers at once and remembers.

    `behaviour` may answer instead (None: the default answer).
    """

    def __init__(self) -> None:
        self.book: dict[str, int] = {}
        self.effects: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.executing: dict[str, dict[str, Any]] = {}
        self.calls: list[Call] = []
        self.behaviour: Behaviour = lambda stub, call: None
        self.lock = threading.RLock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                call = Call(
                    method=self.command,
                    path=self.path,
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=body,
                    at_us=time.time_ns() // 1_000,
                )
                with stub.lock:
                    stub.calls.append(call)
                reply = stub.behaviour(stub, call) or stub.answer(call)
                stub.send(self, reply)

            do_GET = do_POST = _answer  # noqa: N815 - names that http.server looks for

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/orders"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def answer(self, call: Call) -> Reply:
        """Behave well."""
        parts = call.path.strip("/").split("/")
        with self.lock:
            if call.method == "POST" and len(parts) == 1:
                return self.deliver(call)
            order_id = parts[1]
            if call.method == "GET":
                return self.say(order_id)
            if order_id in self.executing:
                del self.executing[order_id]
                self.cancelled.add(order_id)
            if order_id in self.cancelled:
                return Reply(document={"status": "cancelled", "delivered": 0})
            return Reply(status=409 if order_id in self.book else 404, document={"reason": "too late, or not known"})

    def deliver(self, call: Call, delivered: int | None = None) -> Reply:
        """Take effect once for each order, whatever is repeated."""
        order = json.loads(call.body)
        with self.lock:
            if order["order_id"] in self.cancelled:
                return Reply(status=409, document={"reason": "cancelled"})
            if order["order_id"] not in self.book:
                self.book[order["order_id"]] = order["quantity"] if delivered is None else delivered
                self.effects[order["order_id"]] += 1
            return self.say(order["order_id"])

    def accept(self, call: Call) -> Reply:
        """Begin executing; `finish` ends it."""
        order = json.loads(call.body)
        with self.lock:
            self.executing.setdefault(order["order_id"], order)
        return Reply(status=202, document={"status": "executing"})

    def finish(self, order_id: str) -> None:
        """End an execution that was accepted."""
        with self.lock:
            order = self.executing.pop(order_id)
            self.book[order_id] = order["quantity"]
            self.effects[order_id] += 1

    def say(self, order_id: str) -> Reply:
        """Tell what the book has."""
        if order_id in self.book:
            return Reply(document={"status": "completed", "delivered": self.book[order_id]})
        if order_id in self.executing:
            return Reply(document={"status": "executing"})
        if order_id in self.cancelled:
            return Reply(document={"status": "cancelled", "delivered": 0})
        return Reply(status=404, document={"reason": "not known"})

    def send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        time.sleep(reply.delay_s)
        if reply.silent:
            handler.close_connection = True
            return
        if reply.raw is not None:
            handler.wfile.write(reply.raw)
            handler.close_connection = True
            return
        body = reply.body if reply.body is not None else json.dumps(reply.document).encode()
        handler.send_response(reply.status)
        for name, value in (
            {"Content-Length": str(len(body)), "Content-Type": "application/json"} | reply.headers
        ).items():
            handler.send_header(name, value)
        handler.end_headers()
        for index in range(len(body)) if reply.trickle_s else ():
            handler.wfile.write(body[index : index + 1])
            handler.wfile.flush()
            time.sleep(reply.trickle_s)
        if not reply.trickle_s:
            handler.wfile.write(body)

    def called(self, method: str, suffix: str = "") -> list[Call]:
        """Return the calls of a method whose path ends so."""
        with self.lock:
            return [call for call in self.calls if call.method == method and call.path.endswith(suffix)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
