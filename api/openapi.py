"""The API's own description, OpenAPI 3.1, made from the declared routes, and the page that shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from api.problems import MEDIA_TYPE
from api.routing import LOGGED_IN, PUBLIC, Answer, Call, Route, Routes

VERSION = "1"
ALWAYS = (400, 404, 405, 500)
WITH_AUTHENTICATION = (401, 403)
WITH_BODY = (413, 415, 422)
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
_MEDIA_TYPES = {"js": "text/javascript", "css": "text/css", "html": "text/html"}


class Problem(Schema):
    """An error, as RFC 9457 describes it."""

    type = fields.String()
    title = fields.String()
    status = fields.Integer()
    detail = fields.String()
    code = fields.String()
    retryable = fields.Boolean()
    request_id = fields.String()


routes = Routes("description")


@routes.get("/openapi.json", permission=PUBLIC, summary="This description", answers={200: Schema()})
def openapi_document(call: Call) -> Answer:
    """Return the description."""
    return Answer(200, call.services.description)


@routes.get("/docs", permission=PUBLIC, summary="A page that shows this description", answers={200: None}, media_types=("text/html",))
def docs_page(call: Call) -> Answer:
    """Return the page."""
    return _static("docs.html")


@routes.get("/docs/docs.js", permission=PUBLIC, summary="The page's script", answers={200: None}, media_types=("text/javascript",))
def docs_script(call: Call) -> Answer:
    """Return the script."""
    return _static("docs.js")


@routes.get("/docs/docs.css", permission=PUBLIC, summary="The page's style", answers={200: None}, media_types=("text/css",))
def docs_style(call: Call) -> Answer:
    """Return the style."""
    return _static("docs.css")


def describe(declared: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of the routes."""
    spec = APISpec(
        title="orderledger",
        version=VERSION,
        openapi_version="3.1.0",
        info={"description": "A ledger of prepaid money and orders. Amounts are decimal strings in major units."},
        plugins=[MarshmallowPlugin(schema_name_resolver=lambda schema: _name_of(schema))],
        security=[{"apiKey": []}],
    )
    spec.components.security_scheme("apiKey", {"type": "http", "scheme": "bearer"})
    spec.components.schema("Problem", schema=Problem)
    for route in declared:
        spec.path(path=_PARAMETER.sub(r"{\2}", route.path), operations={route.method.lower(): _operation(route)})
    return spec.to_dict()


def _operation(route: Route) -> dict[str, Any]:
    is_public = route.permission is PUBLIC
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": _answers(route),
    }
    if is_public:
        operation["security"] = []
    elif route.permission != LOGGED_IN:
        operation["x-permission"] = route.permission
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": route.body} for media_type in route.body_media_types},
        }
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    patterns = {"token": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,80}$"}, "position": {"type": "integer", "minimum": 1}}
    return [
        {"name": name, "in": "path", "required": True, "schema": patterns.get(kind or "", {"type": "string"})}
        for kind, name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    return [] if route.query is None else [{"in": "query", "schema": route.query}]


def _headers(route: Route) -> list[dict[str, Any]]:
    if not route.idempotent:
        return []
    schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
    return [{"name": "Idempotency-Key", "in": "header", "required": True, "schema": schema}]


def _answers(route: Route) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, schema in route.answers.items():
        content = {media_type: {"schema": schema or {"type": "string"}} for media_type in route.media_types}
        answers[str(status)] = {"description": route.summary, "content": content}
    statuses = {*ALWAYS, *route.errors}
    if route.permission is not PUBLIC:
        statuses |= {*WITH_AUTHENTICATION, 503}
    if route.body is not None or route.query is not None:
        statuses |= {*WITH_BODY}
    for status in sorted(statuses):
        problem = {"$ref": "#/components/schemas/Problem"}
        answers.setdefault(str(status), {"description": "a problem", "content": {MEDIA_TYPE: {"schema": problem}}})
    return answers


def _name_of(schema: Any) -> str:
    named = schema if isinstance(schema, type) else type(schema)
    return named.__name__


def _static(name: str) -> Answer:
    text = (files("api") / "static" / name).read_text("utf-8")
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
    media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
    return Answer(200, text, {"Content-Security-Policy": policy, "Cache-Control": "max-age=300"}, media_type=media_type)
