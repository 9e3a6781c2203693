"""Serve the API by granian.

Threads must outnumber the requests in flight: the more of them wait, the more commands share a commit.
"""

from __future__ import annotations

import os
import signal
import socket

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from api.settings import ApiSettings

BACKLOG = 1_024
HEADER_READ_TIMEOUT_MS = 10_000


def serve(host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or SIGINT, finishing the requests in flight; port 0 picks a free one. Return the exit code."""
    settings = ApiSettings.from_environment(os.environ)
    chosen = port or _free_port(host)
    server = Granian(
        "api.wsgi:app",
        address=host,
        port=chosen,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=workers,
        blocking_threads=settings.api_threads,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=settings.drain_s,
        log_access=False,
        log_level=LogLevels.warning,
        factory=True,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
    )
    if port == 0:
        print(f"listening on http://{host}:{chosen}", flush=True)
    # Granian stops in order on SIGINT and SIGTERM alike; a shell's background job ignores SIGINT unless told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server.serve()
    return 0


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
