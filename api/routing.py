"""Routes, declared.

Each names its method, path, exactly one permission, schemas and statuses; one dispatcher serves them all.

An area's module holds a `Routes` and decorates its views; `register` puts them on an application. A view takes a
`Call`, in which everything was checked already, and returns an `Answer`. Errors are raised, never returned.

A path is in Werkzeug's form with the converters of api.paths: ``token`` (ids), ``position``, ``level`` and ``tile``. A
parameter named ``customer_id`` is an account: a principal of another customer gets AccountNotFound for it before the
view runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from flask import Flask, Response, current_app, g, request
from marshmallow import Schema, ValidationError
from werkzeug.datastructures import Headers

from api import bodies
from api.authentication import Authenticator, Principal, authenticate, ensure_own, ensure_permitted
from api.directory.fields import StrictSchema
from api.encoding import encode_json
from api.errors import FieldError, IdempotencyKeyMissing, InvalidFields, MalformedRequest, NotFreshEnough
from api.paths import compiled_rules
from ledger.ids import new_id
from ledger.logs import current
from ledger.money import Currency
from ledger.submission import IDEMPOTENCY_KEY_BYTES_MAX, key_digest


class _Public:
    """The marker of routes that anyone may ask."""

    def __repr__(self) -> str:
        return "PUBLIC"


PUBLIC: Final = _Public()
POSITION = "Ledger-Position"
MIN_POSITION = "Ledger-Min-Position"
LOOK_INTERVAL_S = 0.02
_POSITION = re.compile(r"[0-9]{1,15}")
LOGGED_IN: Final = "logged-in"
"""In place of a permission: any principal, for routes that show nothing but what is the asker's own."""


class Answer(NamedTuple):
    """What a view returns.

    A status, and a body: a dict or list (sent as JSON), or text, bytes or an iterator of them (sent as it is).
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    media_type: str = bodies.JSON


@dataclass(slots=True)
class Call:
    """One request, checked.

    Who asks, path parameters, loaded query and body. `services` is whatever the application was built with. A view
    leaves in `unit` the currency that a refusal words its amounts in, and in `answer_headers` what a refusal says too.
    """

    services: Any
    request_id: str
    principal: Principal | None
    path: dict[str, Any]
    query: Any
    body: Any
    idempotency_key: str
    unit: Currency | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)

    def log_fields(self) -> Mapping[str, Any]:
        """Return the ids of the request, its principal and its command; a key may be worded, so its digest is told."""
        fields = {"request_id": self.request_id}
        if self.principal is not None:
            fields["principal"] = self.principal.id
            if self.idempotency_key:
                fields["command"] = key_digest(self.principal.id, self.idempotency_key).hex()
        return fields

    @property
    def asker(self) -> Principal:
        """The principal; only routes that are not public have one."""
        return cast(Principal, self.principal)

    @property
    def headers(self) -> Headers:
        """The request's headers, names in any case."""
        return request.headers


View = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One declared operation.

    `body` None: it takes none; `streamed`: the view reads the body itself from flask.request.

    `answers` maps each good status to its schema, None for a body described by `media_types` alone. `errors` are
    statuses beyond those that every route of its kind has. The view of an `idempotent` one looks at nothing but its
    Call: it may be answered the short way (api.short_way).

    `is_current`: what it answers is of now, and the position that it names is a command's own.
    """

    method: str
    path: str
    view: View
    permission: str | _Public
    summary: str
    body: Schema | None = None
    query: Schema | None = None
    answers: Mapping[int, Schema | None] = field(default_factory=dict)
    errors: Sequence[int] = ()
    idempotent: bool = False
    streamed: bool = False
    is_current: bool = False
    media_types: Sequence[str] = (bodies.JSON,)
    body_media_types: Sequence[str] = (bodies.JSON,)
    tag: str = ""
    bytes_max: str = "request_bytes_max"

    @property
    def operation_id(self) -> str:
        """The view's name, unique in the application."""
        return self.view.__name__


class Routes:
    """The routes of one area of the API."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.routes: list[Route] = []

    def add(self, method: str, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a route; the keywords are Route's."""
        if not declared.get("permission"):
            raise TypeError(f"{method} {path} names no permission; say PUBLIC when anyone may ask")

        def decorate(view: View) -> View:
            self.routes.append(Route(method=method, path=path, view=view, tag=self.tag, **declared))
            return view

        return decorate

    def get(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a GET route; HEAD comes with it."""
        return self.add("GET", path, **declared)

    def post(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a POST route."""
        return self.add("POST", path, **declared)

    def patch(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a PATCH route."""
        return self.add("PATCH", path, **declared)

    def delete(self, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a DELETE route."""
        return self.add("DELETE", path, **declared)


def register(
    app: Flask, areas: Iterable[Routes], services: Callable[[], Any], permissions: Iterable[str]
) -> list[Route]:
    """Put the areas' routes on the application and return them.

    `services` is called at each request; `permissions` are the known names. Raises ValueError for an unknown
    permission or a name used twice.
    """
    known = {LOGGED_IN, *permissions}
    routes = [route for area in areas for route in area.routes]
    for route in routes:
        if route.permission is not PUBLIC and route.permission not in known:
            raise ValueError(f"{route.method} {route.path}: unknown permission {route.permission!r}")
        if route.operation_id in app.view_functions:
            raise ValueError(f"two routes are named {route.operation_id}")
        app.view_functions[route.operation_id] = _Dispatcher(route, services)
    app.url_map = compiled_rules(tuple((route.method, route.path, route.operation_id) for route in routes))
    return routes


class _Dispatcher:
    """Serves one route: authentication, permission, scope, headers, body, query, then the view."""

    def __init__(self, route: Route, services: Callable[[], Any]) -> None:
        self._route = route
        self._services = services
        self.__name__ = route.operation_id
        self._defaults = query_defaults(route)

    def __call__(self, **path: Any) -> Response:
        route, services = self._route, self._services()
        principal = None
        if route.permission is not PUBLIC:
            authenticators: Sequence[Authenticator] = services.authenticators
            principal = authenticate(request, authenticators)
            ensure_admitted(route, principal, path)
        query = dict(self._defaults) if self._defaults is not None and not request.query_string else _query(route)
        call = g.call = Call(
            services=services,
            request_id=g.request_id,
            principal=principal,
            path=path,
            query=query,
            body=None,
            idempotency_key=_idempotency_key(query) if route.idempotent else "",
        )
        current.set(call)
        if route.body is not None and not route.streamed:
            bytes_max = getattr(services.settings, route.bytes_max)
            call.body = load(route.body, bodies.read_json(request, bytes_max))
        if route.method == "GET" and MIN_POSITION in request.headers:
            return response(_fresh_enough(route, call))
        return response(route.view(call))


def ensure_admitted(route: Route, principal: Principal, path: Mapping[str, Any]) -> None:
    """Raise Forbidden or AccountNotFound unless the principal may ask this route for what the path names."""
    if route.permission is not LOGGED_IN:
        ensure_permitted(principal, cast(str, route.permission))
    if "customer_id" in path:
        ensure_own(principal, path["customer_id"])


def load(schema: Schema, document: Any) -> Any:
    """Load a document by a schema instance. Raises InvalidFields with a JSON pointer for each wrong field."""
    if isinstance(schema, StrictSchema) and schema.accepts(document):
        return document
    try:
        return schema.load(document)
    except ValidationError as error:
        raise InvalidFields(
            errors=[FieldError(pointer=at, detail=says) for at, says in _flat(error.messages)]
        ) from None


def response(answer: Answer) -> Response:
    """Build the response of an answer."""
    body = answer.body
    if isinstance(body, dict | list):
        body = encode_json(body)
    built = current_app.response_class(body, answer.status, mimetype=answer.media_type)
    for name, value in answer.headers.items():
        built.headers[name] = value
    return built


def min_position() -> int:
    """Return the position that the answer must reflect at least, 0 when the client does not care."""
    given = request.headers.get(MIN_POSITION, "0")
    if _POSITION.fullmatch(given) is None:
        raise MalformedRequest(problem=f"{MIN_POSITION} must be a position")
    return int(given)


def _fresh_enough(route: Route, call: Call) -> Answer:
    """Read again until the answer reflects the position asked for, a moment at most. Raises NotFreshEnough."""
    wanted = min_position()
    ends_at_s = time.monotonic() + call.services.settings.min_position_wait_s
    while True:
        answer = route.view(call)
        position = int(answer.headers.get(POSITION, wanted))
        if position >= wanted or route.is_current:
            return answer
        _close(answer)
        if time.monotonic() >= ends_at_s:
            raise NotFreshEnough(position=position, wanted=wanted)
        time.sleep(LOOK_INTERVAL_S)


def _close(answer: Answer) -> None:
    """Let go of what an answer that is not sent holds, as the server does of one that is."""
    close = getattr(answer.body, "close", None)
    if close is not None:
        close()


def query_defaults(route: Route) -> dict[str, Any] | None:
    """Return what a request without a query means, None when that is not allowed or not a plain object."""
    if route.query is None:
        return {}
    try:
        loaded = route.query.load({})
    except ValidationError:
        return None
    return loaded if isinstance(loaded, dict) else None


def _query(route: Route) -> Any:
    arguments = request.args
    if route.query is None:
        if arguments:
            raise InvalidFields(
                errors=[FieldError(parameter=name, detail="there is no such parameter") for name in arguments]
            )
        return {}
    given = arguments.to_dict()
    if len(given) != sum(map(len, arguments.listvalues())):
        repeated = [name for name, values in arguments.lists() if len(values) > 1]
        raise InvalidFields(errors=[FieldError(parameter=name, detail="given more than once") for name in repeated])
    try:
        return route.query.load(given)
    except ValidationError as error:
        messages = [(at.split("/")[1] if at else "", says) for at, says in _flat(error.messages)]
        raise InvalidFields(errors=[FieldError(parameter=at, detail=says) for at, says in messages]) from None


def _idempotency_key(query: Any) -> str:
    key = request.headers.get("Idempotency-Key")
    if key is None or key == "":
        if query.get("dry_run"):
            return new_id("dry")
        raise IdempotencyKeyMissing()
    if not bodies.is_idempotency_key(key):
        raise MalformedRequest(
            problem=f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters"
        )
    return key


def _flat(messages: Any, at: str = "") -> list[tuple[str, str]]:
    """Return (JSON pointer, what is wrong) for marshmallow's nested messages."""
    if isinstance(messages, Mapping):
        found = []
        for name, inner in messages.items():
            step = "" if name == "_schema" else "/" + str(name).replace("~", "~0").replace("/", "~1")
            found += _flat(inner, at + step)
        return found
    if isinstance(messages, list | tuple):
        return [pair for each in messages for pair in _flat(each, at)]
    return [(at, _printable(str(messages)))]


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
