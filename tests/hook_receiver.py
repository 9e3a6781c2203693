"""A receiver of webhooks for tests: a real HTTP server that checks every signature and is told beforehand how to behave."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request that arrived; `message` is what its signature vouches for, None when it vouches for nothing."""

    path: str
    id: str
    headers: dict[str, str]
    body: bytes
    message: Any
    status: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer; `silent` closes the connection instead."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    silent: bool = False


Behaviour = Callable[[str, str], Reply]
"""By path and message id."""


class HookReceiver:
    """The server. `secrets` has the secret of each path; without one nothing is vouched for.

    With the files of a certificate and its key it speaks TLS.
    """

    def __init__(self, *, certified: tuple[Path, Path] | None = None) -> None:
        self.secrets: dict[str, str] = {}
        self.received: list[Received] = []
        self.behaviour: Behaviour = lambda path, message_id: Reply()
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reply = receiver.note(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                time.sleep(reply.delay_s)
                if reply.silent:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if certified is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certified)
            # A handshake that fails must end its own connection only: accepting raises an OSError, which is passed over.
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}{path}"

    def note(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        message_id = headers["webhook-id"]
        message = None
        if path in self.secrets:
            try:
                message = Webhook(self.secrets[path]).verify(body, headers)
            except WebhookVerificationError:
                message = None
        reply = self.behaviour(path, message_id)
        received = Received(
            path=path,
            id=message_id,
            headers=headers,
            body=body,
            message=message,
            status=0 if reply.silent else reply.status,
            at_s=time.monotonic(),
        )
        with self.lock:
            self.received.append(received)
        return reply

    def taken(self, path: str = "/hook") -> list[Received]:
        """Return what was answered 2xx at a path, in the order in which it came."""
        with self.lock:
            return [each for each in self.received if each.path == path and 200 <= each.status <= 299]

    def positions(self, path: str = "/hook") -> list[int]:
        """Return the positions that were taken at a path, repeats left out, in the order in which they first came."""
        found = [json.loads(each.body)["data"].get("position") for each in self.taken(path)]
        return list(dict.fromkeys(each for each in found if each is not None))

    def types(self, path: str = "/hook") -> list[str]:
        """Return the types that were taken at a path."""
        return [json.loads(each.body)["type"] for each in self.taken(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
