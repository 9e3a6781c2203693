"""The API's own description, OpenAPI 3.1, made from the declared routes, and the page that shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields
from marshmallow.schema import SchemaMeta

from api import schemas, shapes
from api.answers import SECURITY_HEADERS
from api.directory import fields as directory
from api.problems import MEDIA_TYPE
from api.routing import LOGGED_IN, PUBLIC, Answer, Call, Route, Routes
from ledger.submission import IDEMPOTENCY_KEY_BYTES_MAX

VERSION = "1"
DESCRIPTION = (
    "Prepaid accounts, orders and an immutable log. Amounts are decimal strings in major units, exact to the currency; "
    "times are RFC 3339 in UTC. A command needs an Idempotency-Key: repeated with the same key it answers the same and "
    "never takes effect twice. Errors are problem documents (RFC 9457) with a stable `code`."
)
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "token": {"type": "string", "pattern": r"^[A-Za-z0-9._:\-]{1,80}$"},
    "position": {"type": "integer", "minimum": 1, "maximum": schemas.POSITION_MAX},
    "level": {"type": "integer", "minimum": 0, "maximum": 63},
    "tile": {"type": "string", "description": "as C2SP tlog-tiles has it, such as x001/x234/067 or 000.p/8"},
}
_AMOUNT = {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$"}
_REASONS = {
    400: "The request, or one of its headers, is malformed.",
    401: "Nobody known is asking.",
    403: "The principal's role lacks the permission.",
    404: "There is no such thing, or not for this principal.",
    409: "The rules refuse it as things are; see `code`.",
    412: "The object has changed since it was read.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "Some fields are not valid, or the idempotency key was used for something else.",
    429: "Too many requests.",
    500: "A bug; report the request_id.",
    501: "It is not set up here.",
    503: "Not available now, or the outcome is unknown: repeat with the same key after Retry-After.",
}


routes = Routes("description")
_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "html": "text/html"}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@routes.get("/openapi.json", permission=PUBLIC, summary="This description", answers={200: shapes.AnyAnswer()})
def openapi_document(call: Call) -> Answer:
    """Return the description."""
    return Answer(200, call.services.description())


@routes.get(
    "/docs",
    permission=PUBLIC,
    summary="A page that shows this description",
    answers={200: None},
    media_types=("text/html",),
)
def docs_page(call: Call) -> Answer:
    """Return the page."""
    return _static("docs.html")


@routes.get(
    "/docs/docs.js",
    permission=PUBLIC,
    summary="The page's script",
    answers={200: None},
    media_types=("text/javascript",),
)
def docs_script(call: Call) -> Answer:
    """Return the script."""
    return _static("docs.js")


@routes.get(
    "/docs/docs.css", permission=PUBLIC, summary="The page's style", answers={200: None}, media_types=("text/css",)
)
def docs_style(call: Call) -> Answer:
    """Return the style."""
    return _static("docs.css")


def describe(declared: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of the routes."""
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    spec = APISpec(
        title="orderledger",
        version=VERSION,
        openapi_version="3.1.0",
        info={"description": DESCRIPTION},
        plugins=[plugin],
        security=[{"apiKey": []}],
    )
    if plugin.converter is not None:
        plugin.converter.add_attribute_function(_described)  # type: ignore[no-untyped-call]
    spec.components.security_scheme("apiKey", {"type": "http", "scheme": "bearer"})
    for header, (says, schema) in _RESPONSE_HEADERS.items():
        spec.components.header(header, {"description": says, "schema": schema})
    for status, says in _REASONS.items():
        content = {MEDIA_TYPE: {"schema": shapes.ProblemAnswer}}
        spec.components.response(str(status), {"description": says, "content": content})
    paths: dict[str, dict[str, Any]] = {}
    for route in declared:
        paths.setdefault(_PARAMETER.sub(r"{\2}", route.path), {})[route.method.lower()] = _operation(route)
    for path, operations in paths.items():
        spec.path(path=path, operations=operations)
    return spec.to_dict()


_RESPONSE_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Ledger-Position": ("The command's position, or the one that a read reflects.", {"type": "integer"}),
    "Idempotent-Replayed": ("`true` when the answer is the stored one of an earlier request.", {"type": "string"}),
    "X-Request-Id": ("Names the request in the service's log.", {"type": "string"}),
}


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": {str(status): _answer(route, status, schema) for status, schema in route.answers.items()},
    }
    for status in sorted(_error_statuses(route)):
        operation["responses"].setdefault(str(status), str(status))
    if route.permission is PUBLIC:
        operation["security"] = []
    elif route.permission is not LOGGED_IN:
        operation["x-permission"] = route.permission
    if route.body is not None:
        is_needed = any(field.required for field in route.body.fields.values())
        content = {
            media_type: {"schema": route.body if media_type == "application/json" else {"type": "string"}}
            for media_type in route.body_media_types
        }
        operation["requestBody"] = {"required": is_needed, "content": content}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "schema": _PATH_SCHEMAS.get(kind, {"type": "string"})}
        for kind, name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        found.append({"in": "query", "schema": route.query})
    if route.idempotent:
        schema = {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX, "pattern": "^[ -~]+$"}
        says = "New for each new command; a repeat with the same key never takes effect twice."
        found.append(
            {"in": "header", "name": "Idempotency-Key", "required": True, "description": says, "schema": schema}
        )
    if route.method == "GET" and route.permission is not PUBLIC:
        schema = {"type": "integer", "minimum": 0, "maximum": schemas.POSITION_MAX}
        says = "The answer must reflect this position; it waits a moment for it, else 503."
        found.append({"in": "header", "name": "Ledger-Min-Position", "description": says, "schema": schema})
    return found


def _answer(route: Route, status: int, schema: Schema | None) -> dict[str, Any]:
    headers = {name: name for name in _RESPONSE_HEADERS}
    answer: dict[str, Any] = {"description": "As asked." if status < 400 else "Not now.", "headers": headers}
    if status != 204:
        answer["content"] = {
            media_type: {"schema": schema if media_type == "application/json" and schema else {"type": "string"}}
            for media_type in route.media_types
        }
    return answer


def _error_statuses(route: Route) -> set[int]:
    found = {422, 500, *route.errors}
    if route.permission is not PUBLIC:
        found |= {400, 401, 403, 503}
    if "<" in route.path:
        found.add(404)
    if route.body is not None:
        found |= {400, 413, 415}
    return found


def _name(schema: Schema | SchemaMeta) -> str:
    made = schema if isinstance(schema, Schema) else schema()
    return type(made).__name__ + ("List" if made.many else "")


def _described(converter: Any, field: fields.Field[Any], **_: Any) -> dict[str, Any]:
    """Say of our own kinds of fields what they take."""
    match field:
        case schemas.Amount() | schemas.QueryAmount() | directory.DecimalText():
            return dict(_AMOUNT)
        case schemas.QueryNumber():
            return {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
        case schemas.QueryFlag():
            return {"type": "boolean"}
        case schemas.QueryTime():
            return {"type": "string", "format": "date-time"}
        case schemas.QueryWords():
            one = "|".join(map(re.escape, field.words))
            return {"type": "string", "pattern": f"^({one})(,({one}))*$"}
        case directory.Token():
            return {"pattern": r"^[A-Za-z0-9._:\-]+$"}
        case directory.Sku():
            return {"pattern": r"^[A-Za-z0-9._\-]{1,64}$"}
        case _:
            return {}


def _static(name: str) -> Answer:
    headers = SECURITY_HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}
    return Answer(200, _text(name), headers, media_type=_MEDIA_TYPES[name.rpartition(".")[2]])


@cache
def _text(name: str) -> str:
    return (files("api") / "static" / name).read_text("utf-8")
