"""The short way of a command: a plain request is answered without the framework's machinery, which costs more than the
rest of it together.

Plain is a POST to an idempotent route without a query, with a bearer token, a key, and a JSON body whose length is
said. Whatever is not goes through Flask. From authentication on both ways are the same functions, so a request is
answered alike on either.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from marshmallow import Schema

from api import bodies
from api.answers import SECURITY_HEADERS, log_access, problem_answer, request_id
from api.encoding import encode_json
from api.errors import BodyTooLarge, MalformedRequest
from api.paths import PositionConverter, TokenConverter
from api.routing import Answer, Call, Route, ensure_admitted, load, query_defaults
from api.services import Services
from ledger.errors import LedgerError
from ledger.logs import current

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

BEARER = "Bearer "
_CONVERTERS = {"token": (TokenConverter.regex, str), "position": (PositionConverter.regex, int)}
_PARAMETER = re.compile(r"<(\w+):(\w+)>")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_LENGTH = re.compile(r"[1-9][0-9]{0,9}")
_STATUS_LINES = {each.value: f"{each.value} {each.phrase.upper()}" for each in HTTPStatus}
_SECURITY = tuple(SECURITY_HEADERS.items())


class ShortWay:
    """A WSGI application in front of the framework's."""

    def __init__(self, routes: Iterable[Route], services: Callable[[], Services], whole: WSGIApplication) -> None:
        self._services = services
        self._whole = whole
        self._targets = [_Target(route) for route in routes if route.method == "POST" and route.idempotent]

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a plain command, or hand the request on."""
        found = self._target(environment) if _is_plain(environment) else None
        if found is None:
            return self._whole(environment, start)
        target, path = found
        started = time.perf_counter()
        services = self._services()
        call = Call(
            services=services,
            request_id=request_id(environment.get("HTTP_X_REQUEST_ID", "")),
            principal=None,
            path=path,
            query=dict(target.query),
            body=None,
            idempotency_key=environment["HTTP_IDEMPOTENCY_KEY"],
        )
        current.set(call)
        answer = _answered(target.route, call, environment)
        body = encode_json(answer.body) if isinstance(answer.body, dict) else answer.body.encode("utf-8")
        headers = [
            ("Content-Type", answer.media_type),
            ("Content-Length", str(len(body))),
            *answer.headers.items(),
            ("X-Request-Id", call.request_id),
            *_SECURITY,
        ]
        seconds = time.perf_counter() - started
        services.metrics.observe(target.route.operation_id, answer.status, seconds)
        if services.settings.access_log:
            log_access("POST", target.route.operation_id, answer.status, seconds, len(body), answer.headers)
        current.set(None)
        start(_STATUS_LINES[answer.status], headers)
        return [body]

    def _target(self, environment: WSGIEnvironment) -> tuple[_Target, dict[str, Any]] | None:
        for target in self._targets:
            path = target.path(environment["PATH_INFO"])
            if path is not None:
                return target, path
        return None


class _Target:
    """A route with its path as a pattern."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.query: Mapping[str, Any] = query_defaults(route) or {}
        self._names = [(name, _CONVERTERS[kind][1]) for kind, name in _PARAMETER.findall(route.path)]
        self._pattern = re.compile(_PARAMETER.sub(lambda found: f"({_CONVERTERS[found[1]][0]})", route.path))

    def path(self, text: str) -> dict[str, Any] | None:
        """Return the path's parameters, None when it is another route's."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        return {name: convert(value) for (name, convert), value in zip(self._names, match.groups(), strict=True)}


def _is_plain(environment: WSGIEnvironment) -> bool:
    authorization = environment.get("HTTP_AUTHORIZATION", "")
    return (
        environment["REQUEST_METHOD"] == "POST"
        and environment.get("CONTENT_TYPE") == bodies.JSON
        and not environment.get("QUERY_STRING")
        and not environment.get("SCRIPT_NAME")
        and "HTTP_TRANSFER_ENCODING" not in environment
        and "HTTP_CONTENT_ENCODING" not in environment
        and _LENGTH.fullmatch(environment.get("CONTENT_LENGTH", "")) is not None
        and authorization.startswith(BEARER)
        and _TOKEN68.fullmatch(authorization, len(BEARER)) is not None
        and bodies.is_idempotency_key(environment.get("HTTP_IDEMPOTENCY_KEY", ""))
    )


def _answered(route: Route, call: Call, environment: WSGIEnvironment) -> Answer:
    try:
        call.principal = call.services.principal_of(environment["HTTP_AUTHORIZATION"][len(BEARER) :])
        ensure_admitted(route, call.principal, call.path)
        body = _body(environment, getattr(call.services.settings, route.bytes_max))
        call.body = load(cast(Schema, route.body), bodies.parse(body))
        return route.view(call)
    except LedgerError as error:
        return problem_answer(error, call, route.operation_id)
    except Exception as error:  # noqa: BLE001 - The edge of the process: the client gets an answer and we get a line.
        return problem_answer(LedgerError(), call, route.operation_id, cause=error)


def _body(environment: WSGIEnvironment, bytes_max: int) -> bytes:
    length = int(environment["CONTENT_LENGTH"])
    if length > bytes_max:
        raise BodyTooLarge(bytes_max=bytes_max)
    body: bytes = environment["wsgi.input"].read(length)
    if len(body) < length:
        raise MalformedRequest(problem="the body ended early")
    return body
