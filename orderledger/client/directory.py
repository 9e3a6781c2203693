"""The directory's objects over HTTP: customers, levels, products and whatever else is listed, made, changed and deleted.

Objects are the API's JSON as it is; amounts may be given as decimals and come back as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from orderledger.client.amounts import AmountRefused, encode
from orderledger.client.connections import Reply
from orderledger.client.sending import Request

PAGE_OBJECTS = 200
Send = Callable[[Request], Reply]


class Resource:
    """One kind of object, such as customers."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._path = path

    def create(self, **content: Any) -> dict[str, Any]:
        """Make an object and return it. A lost answer raises OutcomeUnknown: look before making it again."""
        return _object(self._send(Request(method="POST", target=self._path, body=encode(content))))

    def read(self, object_id: str) -> dict[str, Any]:
        """Return an object. Raises NotFound."""
        return _object(self._send(Request(method="GET", target=self._at(object_id), is_read=True)))

    def list(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Iterate over the objects that meet every filter, such as ``name__contains="Zhao"``, page by page."""
        return pages(self._send, self._path, filters)

    def change(self, object_id: str, *, revision: int | None = None, **fields: Any) -> dict[str, Any]:
        """Change the given fields and return the object; with a revision only if it is still at that one (else 412)."""
        request = Request(method="PATCH", target=self._at(object_id), body=encode(fields), headers=_if_match(revision))
        return _object(self._send(request))

    def delete(self, object_id: str, *, revision: int | None = None) -> None:
        """Delete an object, or take it out of use where something refers to it."""
        self._send(Request(method="DELETE", target=self._at(object_id), headers=_if_match(revision)))

    def _at(self, object_id: str) -> str:
        return f"{self._path}/{quote(object_id, safe='')}"


def pages(send: Send, path: str, filters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Iterate over what all pages of a list have; filters that are None are left out."""
    asked = {name: _text(value) for name, value in filters.items() if value is not None}
    asked.setdefault("limit", str(PAGE_OBJECTS))
    while True:
        page = _object(send(Request(method="GET", target=f"{path}?{urlencode(asked)}", is_read=True)))
        yield from page["data"]
        if page["next"] is None:
            return
        asked["cursor"] = page["next"]


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            raise AmountRefused(f"floats are not exact: write {value!r} as a Decimal or a text")
        case list() | tuple():
            return ",".join(map(_text, value))
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _if_match(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def _object(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)
    return found
