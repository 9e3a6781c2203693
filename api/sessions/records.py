"""What is kept of a session, and its one stored form: JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Any

TEXT_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session without its id; times are microseconds since 1970 UTC.

    `id` names it to its user and opens nothing. `epoch` and `role` are the user's when it was made or last renewed;
    `csrf` must come with whatever changes something. It ends at `ends_at_us`, or when it was idle too long before.
    """

    id: str
    user_id: str
    epoch: int
    role: str
    csrf: str
    began_at_us: int
    seen_at_us: int
    ends_at_us: int
    address: str
    agent: str

    def to_json(self) -> str:
        """Return the stored form."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))


_TYPES = {each.name: int if each.type == "int" else str for each in fields(SessionRecord)}


def record_of(text: str | bytes) -> SessionRecord | None:
    """Return the session of a stored form; None for a damaged one."""
    try:
        found: Any = json.loads(text)
        if found.keys() != _TYPES.keys() or any(type(found[name]) is not kind for name, kind in _TYPES.items()):
            return None
        return SessionRecord(**found)
    except (AttributeError, TypeError, ValueError):
        return None


def digest_of(token: str) -> bytes:
    """Return what is kept of a session's id."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
