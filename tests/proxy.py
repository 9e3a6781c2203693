"""A TCP proxy in front of a test server that can lose answers, freeze and refuse: the faults of a network, on one machine."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Target = tuple[str, int] | str
"""Host and port, or the path of a unix socket."""


class Proxy:
    """Forwards bytes both ways; `lose_answer_when` sees each chunk from the client and may ask to lose what comes back."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.lose_answer_when: Callable[[bytes], bool] = lambda _: False
        self.frozen = threading.Event()
        self.refusing = False
        self.lost_answers = 0
        self.accepted = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection that is open now."""
        for each in list(self._open):
            _close(each)

    def close(self) -> None:
        """Stop listening and cut everything."""
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.refusing:
                _close(client)
                continue
            try:
                server = _connect(self._target)
            except OSError:
                _close(client)
                continue
            for each in (client, server):
                if each.family != socket.AF_UNIX:
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            silent = threading.Event()
            threading.Thread(target=self._pump, args=(client, server, silent, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, silent, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, silent: threading.Event, from_client: bool) -> None:
        try:
            while chunk := source.recv(1 << 16):
                while self.frozen.is_set():
                    self.frozen.wait(0.05)
                if from_client and self.lose_answer_when(chunk):
                    silent.set()
                if not from_client and silent.is_set():
                    # The server has answered, so what was asked has happened; the client never learns it.
                    self.lost_answers += 1
                    break
                sink.sendall(chunk)
        except OSError:
            pass
        finally:
            self._open -= {source, sink}
            _close(source)
            _close(sink)


@contextlib.contextmanager
def proxied(target: Target) -> Iterator[Proxy]:
    """Run a proxy in front of a server."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()


def _connect(target: Target) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(target)
    return connection


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        each.close()
