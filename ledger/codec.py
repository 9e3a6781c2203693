"""Events to stored bytes and back.

Stored JSON is canonical (RFC 8785 for the float-free subset we use: strings, integers up to 2**53, booleans, null,
lists, objects), so that anyone can recompute a hash from the bytes. Old schema versions are read through upcasters;
stored bytes are never rewritten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from ledger.errors import CorruptLog
from ledger.events import EVENT_CLASSES, Event

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(type, schema_version) to the pure function that yields the next version's data."""

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_FIELD_NAMES = {
    event_class: tuple(sorted(each.name for each in fields(event_class))) for event_class in EVENT_CLASSES.values()
}


def canonical_json(value: Any) -> bytes:
    """Encode as canonical JSON. Object keys must be ASCII; floats are not for stored data.

    Raises UnicodeEncodeError for text that is not valid Unicode (lone surrogates).
    """
    return _encode(value).encode("utf-8")


def encode(event: Event) -> bytes:
    """Return the event's `data` as stored bytes."""
    return canonical_json(
        {name: value for name in _FIELD_NAMES[type(event)] if (value := getattr(event, name)) is not None}
    )


def decode(
    type_name: str, schema_version: int, data: bytes, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> Event:
    """Return the event of stored bytes, upcast to today's shape.

    Raises CorruptLog for an unknown type or version, or data of another shape.
    """
    try:
        event_class = EVENT_CLASSES[type_name]
        content = json.loads(data)
        for version in range(schema_version, event_class.SCHEMA_VERSION):
            content = upcasters[type_name, version](content)
        if schema_version > event_class.SCHEMA_VERSION:
            raise CorruptLog()
        return event_class(**content)
    except (KeyError, TypeError, ValueError):
        raise CorruptLog() from None
