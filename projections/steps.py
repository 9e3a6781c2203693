"""What a batch of events changes in a read model, as a few kinds of writes that may be repeated without harm.

Keys are relative to the generation. The same write is applied to Redis by one script, and to plain dictionaries when
the log is folded beside it for comparison.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

ARGUMENTS_MAX = 1_000
"""Arguments of one command inside the script; Lua's stack ends at a few thousand."""


class Unappliable(Exception):
    """An event that cannot be applied to a read model: it stops there, and a person must look."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


class Reader(Protocol):
    """The read model as it stands before a step."""

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        """Return the value of each (hash, field)."""


class Step:
    """The writes of one batch; the last write to a field or member wins."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: dict[str, dict[str, str | None]] = {}

    def put(self, key: str, field: str, value: str) -> None:
        """Set a field of a hash."""
        self.hashes.setdefault(key, {})[field] = value

    def add(self, key: str, score: int, member: str) -> None:
        """Put a member in a sorted set."""
        self.sets.setdefault(key, {})[member] = str(score)

    def remove(self, key: str, member: str) -> None:
        """Take a member out of a sorted set."""
        self.sets.setdefault(key, {})[member] = None

    def commands(self, prefix: str) -> str:
        """Return the writes as JSON for the script, with whole keys."""
        found: list[list[str]] = []
        for key, values in self.hashes.items():
            _append(found, ["HSET", prefix + key], [text for pair in values.items() for text in pair])
        for key, members in self.sets.items():
            _append(
                found,
                ["ZADD", prefix + key],
                [text for member, score in members.items() if score is not None for text in (score, member)],
            )
            _append(found, ["ZREM", prefix + key], [member for member, score in members.items() if score is None])
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _append(commands: list[list[str]], head: list[str], arguments: list[str]) -> None:
    starts = range(0, len(arguments), ARGUMENTS_MAX)
    commands.extend([*head, *arguments[start : start + ARGUMENTS_MAX]] for start in starts)
