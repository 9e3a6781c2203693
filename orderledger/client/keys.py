"""Idempotency keys: ordered by time, so that an index takes them well, and never the same twice."""

from __future__ import annotations

import os
import re
import time
import uuid

KEY_CHARACTERS_MAX = 255
# Without spaces at its ends: they are no part of a header, but of a line in a batch, where it were another key.
_KEY = re.compile(rf"[!-~]([ -~]{{0,{KEY_CHARACTERS_MAX - 2}}}[!-~])?")


def new_key() -> str:
    """Return a new key, a UUIDv7. Source: RFC 9562, section 5.7."""
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10), "big")
    number = (milliseconds << 80) | chance
    number = (number & ~(0xF << 76)) | (7 << 76)
    number = (number & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=number))


def key_or_new(key: str | None) -> str:
    """Return the key, a new one for None; an empty one is no wish for a new one."""
    return new_key() if key is None else key


def ensure_key(key: str) -> None:
    """Raise ValueError for a key that the API would not take, or not as it is; some cannot even be sent."""
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"a key is 1 to {KEY_CHARACTERS_MAX} printable ASCII characters without spaces at its ends, not {key!r}"
        )
