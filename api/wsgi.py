"""What a WSGI server runs in each of its worker processes: the application of the process's environment."""

from __future__ import annotations

import multiprocessing.util
import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

from api.admission import Admission
from api.application import close, create_app
from api.draining import Draining
from api.safe_settings import findings_of_settings
from api.services import Services
from api.settings import ApiSettings
from ledger import tracing
from ledger.errors import UnsafeStart
from ledger.logs import configure_logs
from ledger.safety.checks import refusals, sentence, with_accepted
from ledger.settings import LedgerSettings, read_settings

LOOK_INTERVAL_S = 0.5


def app() -> Flask:
    """Return the application, and have this process end in good order with its server.

    A factory: give it to the server as such; another server than `orderledger api` starts it without the checks of
    databases and Redis. Raises BadSetting, UnsafeStart.
    """
    ledger_settings = read_settings(LedgerSettings, os.environ)
    configure_logs(ledger_settings.log_level, role="api")
    tracing.configure_tracing(os.environ, role="api")
    unsafe = refusals(with_accepted(findings_of_settings(os.environ), ledger_settings.allow_unsafe))
    if unsafe:
        raise UnsafeStart(lines=tuple(sentence(each) for each in unsafe))
    made = create_app(os.environ, begin=Services.report)
    # Not atexit: a server's worker may be a multiprocessing child, which ends without it.
    multiprocessing.util.Finalize(made, close, args=(made,), exitpriority=100)
    settings = ApiSettings.from_environment(os.environ)
    admission = Admission(_with_ended_bodies(made.wsgi_app), made.extensions["services"], settings)
    draining: Draining = made.extensions["draining"]
    draining.begin_when_told()
    whole = traced(admission) if tracing.is_on() else admission
    made.wsgi_app = draining.closing(whole)  # type: ignore[method-assign, assignment]
    threading.Thread(
        target=_end_with_parent, args=(os.getppid(), settings.drain_s), name="parent-watch", daemon=True
    ).start()
    # Before the first request: also a process that nobody asked yet is seen at /metrics.
    made.extensions["services"]()
    return made


def _with_ended_bodies(inner: WSGIApplication) -> WSGIApplication:
    # Granian ends the input where the body ends, chunked or not, but does not say so; without that no chunked body
    # is read at all.
    def outer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        environment["wsgi.input_terminated"] = True
        return inner(environment, start)

    return outer


def traced(inner: WSGIApplication) -> WSGIApplication:
    """Let each request be a span, going on with the trace that its headers name; an answer's pieces come after it."""

    def outer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        given = {name: environment.get(f"HTTP_{name.upper()}", "") for name in ("traceparent", "tracestate")}
        method = environment["REQUEST_METHOD"]
        with tracing.span(method, kind="server", parent=given, http__request__method=method):
            return inner(environment, start)

    return outer


def _end_with_parent(parent: int, grace_s: float) -> None:
    # A killed server cannot stop its workers; they would go on and keep the port.
    while os.getppid() == parent:
        time.sleep(LOOK_INTERVAL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os._exit(1)
