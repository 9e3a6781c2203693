"""Lists of a resource: their parameters, their pages and the cursors between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from marshmallow import INCLUDE, Schema, fields

from api import cursors
from api.directory.services import services_of
from api.routing import Call
from ledger.directory import listing as listings
from ledger.directory.errors import BadListCursor
from ledger.directory.listing import Listing, ListQuery, Page

_NOT_ASKED = frozenset({"cursor", "limit", "fields"})
"""Parameters that may change from page to page."""


class _Parameters(Schema):
    """Every filter is a parameter of its own."""

    class Meta:
        """Leave unknown parameters to the listing, which says what there is instead."""

        unknown = INCLUDE


def list_schema(name: str, listing: Listing) -> Schema:
    """Return the schema of a list's query: every field with every operator that it has."""
    parameters: dict[str, fields.Field[Any]] = {
        "limit": fields.String(metadata={"description": f"rows of a page, 1 to {listings.LIMIT_MAX}"}),
        "cursor": fields.String(metadata={"description": "the `next` of the page before"}),
        "sort": fields.String(metadata={"description": "fields to order by, with - for descending, as `-a,b`"}),
        "fields": fields.String(metadata={"description": f"which to answer, of {', '.join(listing.shown)}"}),
    }
    for field_name, field in listing.fields.items():
        for operator in field.kind.operators:
            parameters[field_name if operator == "eq" else f"{field_name}__{operator}"] = fields.String()
    return _Parameters.from_dict(cast(Any, parameters), name=f"{_camel(name)}Query")()


def answer_schema(name: str, shown: Schema, *, paged: bool) -> Schema:
    """Return the schema of an answer with many objects."""
    members: dict[str, fields.Field[Any]] = {"data": fields.List(fields.Nested(shown))}
    if paged:
        members["next"] = fields.String(allow_none=True)
    return Schema.from_dict(cast(Any, members), name=f"{_camel(name)}{'Page' if paged else 'Created'}")()


def read_page(listing: Listing, listed: Callable[[Call, ListQuery], Page], call: Call) -> dict[str, Any]:
    """Return the page that the query asks for, as it is answered. Raises BadListing, InvalidCursor."""
    key = services_of(call).cursor_key
    parameters: dict[str, str] = dict(call.query)
    asked = sorted((name, value) for name, value in parameters.items() if name not in _NOT_ASKED)
    question = json.dumps([listing.name, asked])
    cursor = parameters.get("cursor")
    if cursor is not None:
        parameters["cursor"] = cursors.unseal(key, question, cursor)
    try:
        page = listed(call, listings.parse(listing, parameters))
    except BadListCursor:
        raise cursors.InvalidCursor() from None
    return {"data": page.data, "next": None if page.next is None else cursors.seal(key, question, page.next)}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
