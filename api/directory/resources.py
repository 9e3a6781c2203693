"""One kind of resource: what every object of the directory answers to, declared once.

`routes` makes the routes of a resource: list, create, create many, read, change, delete. An object's revision is its
ETag; with If-Match a change is made to that revision or not at all. A principal bound to a customer changes nothing
here, and of what belongs to customers it finds its own only; what it may not see is answered as what is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from marshmallow import Schema

from api.directory.findings import Rules, ensure_all_new, ensure_new
from api.directory.lists import answer_schema, list_schema, read_page
from api.directory.services import services_of
from api.errors import Forbidden, MalformedRequest
from api.routing import Answer, Call, Routes, View
from ledger.directory.errors import DirectoryNotFound, InUse
from ledger.directory.listing import Listing, ListQuery, Page

NEVER = 0
"""A revision that no object ever has."""
_ETAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*')
_REVISIONS = re.compile(r'(?:^|[\s,])"([1-9][0-9]{0,17})"')

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource: its names and permissions, its schemas, and the functions of the directory behind it.

    `created` is `shown` with what is told only once. `rules` are what new objects are held to beyond their schema.
    `create` returns what it made. `delete` returns the object when it was only taken out of use, None when it is gone.
    `has_currency`: new objects without a currency get the service's. `owner` is the field that names the customer an
    object belongs to.
    """

    singular: str
    plural: str
    path: str
    kind: str
    may_read: str
    may_write: str
    may_delete: str
    listing: Listing
    shown: Schema
    created: Schema
    contents: type[Schema]
    changes: Schema
    rules: Rules
    listed: Callable[[Call, ListQuery], Page]
    create: Callable[[Call, list[dict[str, Any]]], list[dict[str, Any]]]
    read: Callable[[Call, str], dict[str, Any]]
    change: Callable[[Call, str, Content, int | None], dict[str, Any]]
    delete: Callable[[Call, str, int | None], dict[str, Any] | None]
    has_currency: bool = False
    owner: str | None = None


def routes(resource: Resource) -> Routes:
    """Return the routes of a resource."""
    made = Routes(resource.plural)
    one = f"{resource.path}/<token:id>"

    def add(method: str, path: str, name: str, view: Callable[[Resource, Call], Answer], **declared: Any) -> None:
        made.add(method, path, **declared)(_named(name, view, resource))

    add(
        "GET", resource.path, f"list_{resource.plural}", _list,
        permission=resource.may_read,
        summary=f"List {_words(resource.plural)}: filter, order, choose fields, page.",
        query=list_schema(resource.plural, resource.listing),
        answers={200: answer_schema(resource.plural, resource.shown, paged=True)},
        errors=(422,),
    )  # fmt: skip
    add(
        "POST", resource.path, f"create_{resource.singular}", _create,
        permission=resource.may_write,
        summary=f"Create one of the {_words(resource.plural)}.",
        body=resource.contents(),
        answers={201: resource.created},
        errors=(409, 422),
    )  # fmt: skip
    add(
        "POST", f"{resource.path}/bulk", f"create_{resource.plural}", _create_many,
        permission=resource.may_write,
        summary=f"Create up to 1,000 {_words(resource.plural)}, all or none.",
        body=resource.contents(many=True),
        answers={201: answer_schema(resource.plural, resource.created, paged=False)},
        errors=(409, 422),
        bytes_max="batch_bytes_max",
    )  # fmt: skip
    add(
        "GET", one, f"read_{resource.singular}", _read,
        permission=resource.may_read,
        summary=f"Read one of the {_words(resource.plural)}; its ETag is its revision.",
        answers={200: resource.shown},
        errors=(404,),
    )  # fmt: skip
    add(
        "PATCH", one, f"change_{resource.singular}", _change,
        permission=resource.may_write,
        summary=f"Change the given fields of one of the {_words(resource.plural)}.",
        body=resource.changes,
        answers={200: resource.shown},
        errors=(404, 409, 412, 422),
    )  # fmt: skip
    add(
        "DELETE", one, f"delete_{resource.singular}", _delete,
        permission=resource.may_delete,
        summary=f"Delete one of the {_words(resource.plural)}; 200 with the object when it is only taken out of use.",
        answers={204: None, 200: resource.shown},
        errors=(404, 409, 412),
    )  # fmt: skip
    return made


def _list(resource: Resource, call: Call) -> Answer:
    return Answer(200, read_page(resource.listing, resource.listed, call))


def _create(resource: Resource, call: Call) -> Answer:
    _ensure_unbound(call, resource.may_write)
    content = _completed(resource, call, call.body)
    ensure_new(call, resource.rules, content)
    with _consistent(resource):
        (made,) = resource.create(call, [content])
    return Answer(201, made, {"Location": f"{resource.path}/{made['id']}", "ETag": _etag(made)})


def _create_many(resource: Resource, call: Call) -> Answer:
    _ensure_unbound(call, resource.may_write)
    contents = [_completed(resource, call, each) for each in call.body]
    ensure_all_new(call, resource.rules, contents)
    with _consistent(resource):
        return Answer(201, {"data": resource.create(call, contents)})


def _read(resource: Resource, call: Call) -> Answer:
    found = _seen(resource, call)
    return Answer(200, found, {"ETag": _etag(found)})


def _change(resource: Resource, call: Call) -> Answer:
    _ensure_unbound(call, resource.may_write)
    with _consistent(resource):
        changed = resource.change(call, call.path["id"], call.body, _revision(resource, call))
    return Answer(200, changed, {"ETag": _etag(changed)})


def _delete(resource: Resource, call: Call) -> Answer:
    _ensure_unbound(call, resource.may_delete)
    with _consistent(resource):
        left = resource.delete(call, call.path["id"], _revision(resource, call))
    return Answer(204, "") if left is None else Answer(200, left, {"ETag": _etag(left)})


def _seen(resource: Resource, call: Call) -> dict[str, Any]:
    found = resource.read(call, call.path["id"])
    customer_id = call.asker.customer_id
    if customer_id is not None and resource.owner is not None and found[resource.owner] != customer_id:
        raise DirectoryNotFound(kind=resource.kind, id=call.path["id"])
    return found


def _ensure_unbound(call: Call, permission: str) -> None:
    # Master data concern everyone: whoever is bound to one customer could raise its own credit or make a wider key.
    if call.asker.customer_id is not None:
        raise Forbidden(permission=permission)


def _revision(resource: Resource, call: Call) -> int | None:
    """Return the revision that If-Match asks for, None for any. Raises MalformedRequest."""
    header = call.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    if _ETAGS.fullmatch(header) is None:
        raise MalformedRequest(problem='If-Match must be an ETag such as "3", a list of them, or *')
    revisions = {int(revision) for revision in _REVISIONS.findall(header)}
    if len(revisions) <= 1:
        return next(iter(revisions), NEVER)
    current = int(_seen(resource, call)["revision"])
    return current if current in revisions else NEVER


@contextmanager
def _consistent(resource: Resource) -> Iterator[None]:
    """Turn the database's objection to a dangling reference into InUse: what was looked up before is gone by now."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise InUse(kind=resource.kind, reason="what it refers to, or what refers to it, changed meanwhile") from error


def _completed(resource: Resource, call: Call, content: Content) -> dict[str, Any]:
    if resource.has_currency:
        return {"currency": services_of(call).default_currency.code} | dict(content)
    return dict(content)


def _etag(shown: Mapping[str, Any]) -> str:
    return f'"{shown["revision"]}"'


def _named(name: str, view: Callable[[Resource, Call], Answer], resource: Resource) -> View:
    def named(call: Call) -> Answer:
        return view(resource, call)

    named.__name__ = name
    return named


def _words(name: str) -> str:
    return name.replace("_", " ")
