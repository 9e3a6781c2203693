"""The server processes that are measured: the ledger's own API as production runs it, and the baselines' applications."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import processor
from server_programs import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS = 2
THREADS = 64
START_S_MAX = 30.0
STOP_S_MAX = 30.0
_PAUSE_S = 0.05


class Server:
    """A server process that listens on a port of 127.0.0.1 until it is stopped."""

    def __init__(self, arguments: Sequence[str], port: int, environment: Mapping[str, str]) -> None:
        base = {name: value for name, value in os.environ.items() if not name.startswith("ORDERLEDGER_")}
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        command = [sys.executable, *arguments]
        self.port = port
        self._process = subprocess.Popen(command, cwd=ROOT, env={**base, "PYTHONPATH": path, **environment})
        self._wait_until_it_listens()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def processes(self) -> list[int]:
        """Return the ids of its processes."""
        return processor.family(self._process.pid)

    def touch(self) -> None:
        """Have its workers make what they make for the first request; a new connection may get either."""
        for _ in range(WORKERS * 4):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S_MAX)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            connection.close()

    def stop(self) -> None:
        """Let it finish what it works on and end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_S_MAX
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(_PAUSE_S)
        self.stop()
        raise RuntimeError(f"{self._process.args!r} did not start")


def serve_api(environment: Mapping[str, str], *, workers: int = WORKERS) -> Server:
    """Start the ledger's API."""
    port = free_port()
    return Server(("-m", "orderledger", "api", "--port", str(port), "--workers", str(workers)), port, environment)


def serve_baseline(way: str, url: str) -> Server:
    """Start a baseline's application with as many workers and threads."""
    port = free_port()
    environment = {"BENCH_URL": url, "BENCH_WORKERS": str(WORKERS), "BENCH_THREADS": str(THREADS)}
    return Server(("-m", "bench.http.apps", way, str(port)), port, environment)
