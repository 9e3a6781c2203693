"""What every answer gets whatever its route.

A request id, security headers, and a problem document when something was raised.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Response, g, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from api import errors as requests
from api.problems import MEDIA_TYPE, headers, problem
from api.routing import POSITION, Answer, Call, response
from api.services import Services
from api.sessions.cookies import cookie
from api.sessions.sessions import Current
from ledger.errors import LedgerError
from ledger.ids import is_token, new_id
from ledger.logs import current

_log = structlog.get_logger(__name__)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


ErrorPage = Callable[[LedgerError, Call], Answer | None]


def install(app: Flask, services: Callable[[], Services], error_page: ErrorPage) -> None:
    """Let the application answer every request in our manner; `error_page` makes the page of what a page met."""

    def as_problem(error: LedgerError, cause: Exception | None = None) -> Response:
        call = g.get("call") or Call(services(), g.request_id, None, {}, {}, None, "")
        answer = problem_answer(error, call, request.endpoint or "none", cause=cause)
        return response(error_page(error, call) or answer)

    def http_exception(error: HTTPException) -> Response:
        if isinstance(error, RequestRedirect):
            return Response("", error.code, {"Location": error.new_url})
        answer = as_problem(_own_error(error))
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                answer.headers[name] = value
        return answer

    app.register_error_handler(LedgerError, as_problem)
    app.register_error_handler(HTTPException, http_exception)
    app.register_error_handler(Exception, lambda error: as_problem(LedgerError(), error))

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = request_id(request.headers.get("X-Request-Id", ""))
        current.set(_Begun(g.request_id))

    @app.after_request
    def finish(answer: Response) -> Response:
        answer.headers["X-Request-Id"] = g.request_id
        session: Current | None = g.get("session")
        if session is not None and session.token is not None:
            answer.headers.add("Set-Cookie", cookie(services().session_settings, session.token))
        if "Content-Security-Policy" not in answer.headers:
            for name, value in SECURITY_HEADERS.items():
                answer.headers.setdefault(name, value)
        seconds = time.perf_counter() - g.started
        services().metrics.observe(request.endpoint or "none", answer.status_code, seconds)
        if services().settings.access_log:
            size = answer.content_length if answer.is_sequence else None
            log_access(request.method, request.endpoint or "none", answer.status_code, seconds, size, answer.headers)
        current.set(None)
        return answer


@dataclass(frozen=True, slots=True)
class _Begun:
    """A request of which only its id is known."""

    request_id: str

    def log_fields(self) -> Mapping[str, Any]:
        return {"request_id": self.request_id}


def log_access(
    method: str, route: str, status: int, seconds: float, size: int | None, headers: Mapping[str, str] | Headers
) -> None:
    """Write the line of an answered request: its route, never its path or query; `bytes` is missing of a stream."""
    fields = {} if size is None else {"bytes": size}
    if POSITION in headers:
        fields["position"] = int(headers[POSITION])
    _log.info("request", method=method, route=route, status=status, seconds=round(seconds, 6), **fields)


def problem_answer(error: LedgerError, call: Call, route: str, *, cause: Exception | None = None) -> Answer:
    """Return the answer of an error; log it when it is our fault, with what caused it."""
    document = problem(error, call.request_id, call.unit or call.services.default_currency)
    if document["status"] >= 500 and document["code"] not in ("unavailable", "outcome-unknown", "not-fresh-enough"):
        fields = {"route": route, "status": document["status"], "code": error.code}
        _log.error("request-failed", **{**call.log_fields(), **fields}, exc_info=cause or error)
    # ASCII only: a field's name may hold what is no valid Unicode.
    return Answer(document["status"], json.dumps(document), {**headers(error), **call.answer_headers}, MEDIA_TYPE)


def request_id(given: str) -> str:
    """Return the request's id: the client's when it may be one, else a new one."""
    return given if is_token(given) else new_id("req")


def _own_error(error: HTTPException) -> LedgerError:
    match error:
        case NotFound():
            return requests.PathNotFound()
        case MethodNotAllowed():
            return requests.MethodNotAllowed()
        case RequestEntityTooLarge():
            return requests.BodyTooLarge(bytes_max=int(request.max_content_length or 0))
        case _ if error.code is not None and 400 <= error.code < 500:
            return requests.MalformedRequest(problem=error.name)
        case _:
            return LedgerError()
