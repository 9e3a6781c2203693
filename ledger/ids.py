"""Identifiers: time-ordered and unguessable enough to be public (UUIDv7, RFC 9562), with a prefix that says what they
name.
"""

from __future__ import annotations

import re

import uuid_utils

TOKEN = re.compile(r"[A-Za-z0-9._:\-]{1,80}")
"""What ids, types, codes and correlation ids may look like; such a text needs no escaping anywhere."""


def new_id(prefix: str) -> str:
    """Return a new id such as ``ord_0193…``."""
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def new_event_id() -> bytes:
    """Return the 16 bytes of a new UUIDv7."""
    return uuid_utils.uuid7().bytes


def is_token(text: str) -> bool:
    """Say whether the text may be used as an id, type, code or correlation id."""
    return TOKEN.fullmatch(text) is not None
