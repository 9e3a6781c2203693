"""Serve the API by granian.

Threads must outnumber the requests in flight: the more of them wait, the more commands share a commit. More threads than
requests are worked on (api.admission) wait for their turn, or refuse.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from api.draining import TELL
from api.settings import ApiSettings

BACKLOG = 1_024
HEADER_READ_TIMEOUT_MS = 10_000
REFUSERS = 4
"""Threads that are left to refuse while all others work or wait for their turn: few, since each takes the interpreter
from the commit that everybody waits for.
"""
IDLE_THREAD_S = 10
"""After a rush, how long threads without work are kept."""
OTHER_FILES = 256
"""Open files besides the clients' connections: databases, Redis, logs."""


def serve(host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or SIGINT, finishing the requests in flight; port 0 picks a free one. Return the exit code.

    After SIGTERM it drains first (api.draining).
    """
    settings = ApiSettings.from_environment(os.environ)
    chosen = port or _free_port(host)
    server = DrainingServer(
        "api.wsgi:app",
        address=host,
        port=chosen,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=workers,
        blocking_threads=settings.api_threads + settings.api_queue_max + REFUSERS,
        blocking_threads_idle_timeout=IDLE_THREAD_S,
        backlog=BACKLOG,
        backpressure=_connections_max(settings.api_connections_max),
        respawn_failed_workers=True,
        workers_kill_timeout=settings.drain_s,
        log_access=False,
        log_level=LogLevels.warning,
        # Its lines are written as ours are.
        log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
        factory=True,
        websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
    )
    server.notice_s = settings.drain_notice_s
    if port == 0:
        print(f"listening on http://{host}:{chosen}", flush=True)
    # Granian stops in order on SIGINT and SIGTERM alike; a shell's background job ignores SIGINT unless told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger("_granian").addFilter(_is_no_advice)
    server.serve()
    return 0


def _is_no_advice(record: logging.LogRecord) -> bool:
    # That there are many threads: most of them wait for a commit, and more than that for their turn.
    return "Python threads" not in record.getMessage()


class DrainingServer(Granian):  # type: ignore[misc, valid-type]
    """A granian that tells its workers to drain before it stops them.

    A second signal, or Ctrl-C, stops at once, still finishing the requests in flight.
    """

    notice_s: float = 0.0

    def signal_handler_interrupt(self, signum: int = signal.SIGTERM, *arguments: Any) -> None:
        """Remember that it is to stop, and whether in a hurry."""
        if signum == signal.SIGINT:
            self.notice_s = 0.0
        super().signal_handler_interrupt(signum, *arguments)

    def shutdown(self, exit_code: int = 0) -> None:
        """Tell, wait, stop."""
        self._tell()
        super().shutdown(exit_code)

    def _tell(self) -> None:
        if not self.interrupt_signal or self.notice_s == 0:
            return
        self.main_loop_interrupt.clear()
        for worker in self.wrks:
            if worker.is_alive():
                os.kill(worker.inner.pid, TELL)
        self.main_loop_interrupt.wait(self.notice_s)


def _connections_max(wanted: int) -> int:
    """Return how many connections fit, after asking for as many open files as we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    files = max(soft, needed if hard == resource.RLIM_INFINITY else min(needed, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(1, min(wanted, files - OTHER_FILES))


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
