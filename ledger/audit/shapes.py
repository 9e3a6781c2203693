"""The data of each event type, strictly: exactly its fields, of exactly their types, in canonical bytes.

The structures are made from the classes of ledger.events, which say what is stored. Their fields are in the order of
canonical JSON, so that encoding one again yields the stored bytes; whatever the fast encoder writes otherwise is
compared by ledger.codec.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from ledger.codec import UPCASTERS, canonical_json
from ledger.events import EVENT_CLASSES, Event

encode = msgspec.json.Encoder().encode


def _structure(event_class: type[Event]) -> type[msgspec.Struct]:
    types = typing.get_type_hints(event_class)
    fields: list[Any] = [
        (each.name, types[each.name])
        if each.default is dataclasses.MISSING
        else (each.name, types[each.name], each.default)
        for each in sorted(dataclasses.fields(event_class), key=lambda field: field.name)
    ]
    return msgspec.defstruct(
        event_class.__name__, fields, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False
    )


STRUCTURES = {type_name: _structure(event_class) for type_name, event_class in EVENT_CLASSES.items()}
"""The structure of each type's data, by the type's stored name."""
DECODERS: dict[str, Callable[[bytes], Any]] = {
    type_name: msgspec.json.Decoder(structure).decode for type_name, structure in STRUCTURES.items()
}
TYPE_NAMES = {structure: type_name for type_name, structure in STRUCTURES.items()}


def decode(type_name: str, schema_version: int, data: bytes) -> Any:
    """Return the data of an event of any known schema version. Raises ValueError with what is wrong with it."""
    event_class = EVENT_CLASSES.get(type_name)
    if event_class is None:
        raise ValueError(f"there is no event type {type_name!r}")
    if not 1 <= schema_version <= event_class.SCHEMA_VERSION:
        raise ValueError(f"schema version {schema_version} of {type_name} is not known to this release")
    if not is_canonical(data):
        raise ValueError("data are not canonical JSON")
    try:
        if schema_version == event_class.SCHEMA_VERSION:
            return DECODERS[type_name](data)
        content = json.loads(data)
        for version in range(schema_version, event_class.SCHEMA_VERSION):
            content = UPCASTERS[type_name, version](content)
        return msgspec.convert(content, STRUCTURES[type_name])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"data are not those of {type_name}: {error}") from None


def is_canonical(data: bytes) -> bool:
    """Say whether stored bytes are the one canonical form of what they say."""
    try:
        return canonical_json(json.loads(data)) == data
    except (ValueError, RecursionError):
        return False
