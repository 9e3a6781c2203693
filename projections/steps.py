"""What a batch of events changes in a read model, as a few kinds of writes that may be repeated without harm.

Keys are relative to the generation. The same write is applied to Redis by one script, and to plain dictionaries when
the log is folded beside it for comparison.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

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

    def items(self, wanted: Sequence[tuple[str, int]]) -> list[str | None]:
        """Return the value of each (list, index)."""


class Step:
    """The writes of one batch; the last write to a field or member wins."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: dict[str, dict[str, str | None]] = {}
        self.pushed: dict[str, list[str]] = {}
        self.replaced: dict[tuple[str, int], str] = {}
        self.bits: dict[str, dict[int, int]] = {}
        self.changes: dict[str, dict[str, int]] = {}
        self.indexed: dict[str, list[str]] = {}

    def put(self, key: str, field: str, value: str) -> None:
        """Set a field of a hash."""
        self.hashes.setdefault(key, {})[field] = value

    def add(self, key: str, score: int, member: str) -> None:
        """Put a member in a sorted set."""
        self.sets.setdefault(key, {})[member] = str(score)

    def remove(self, key: str, member: str) -> None:
        """Take a member out of a sorted set."""
        self.sets.setdefault(key, {})[member] = None

    def push(self, key: str, value: str) -> None:
        """Append to a list."""
        self.pushed.setdefault(key, []).append(value)

    def replace(self, key: str, index: int, value: str) -> None:
        """Set an item of a list that is there."""
        self.replaced[key, index] = value

    def mark(self, key: str, bit: int, *, is_set: bool) -> None:
        """Set or clear a bit of a bitmap."""
        self.bits.setdefault(key, {})[bit] = int(is_set)

    def count(self, key: str, field: str, change: int) -> None:
        """Add to a counter; one that comes to zero is removed."""
        changes = self.changes.setdefault(key, {})
        changes[field] = changes.get(field, 0) + change

    def index(self, name: str, member: str) -> None:
        """Put a member in a sorted index."""
        self.indexed.setdefault(name, []).append(member)

    def commands(self, prefix: str) -> str:
        """Return the writes as JSON for the script, with whole keys."""
        found: list[list[Any]] = []
        for key, values in self.hashes.items():
            _append(found, ["HSET", prefix + key], [text for pair in values.items() for text in pair])
        for key, members in self.sets.items():
            _append(
                found,
                ["ZADD", prefix + key],
                [text for member, score in members.items() if score is not None for text in (score, member)],
            )
            _append(found, ["ZREM", prefix + key], [member for member, score in members.items() if score is None])
        for key, texts in self.pushed.items():
            _append(found, ["RPUSH", prefix + key], texts)
        found += [["LSET", prefix + key, str(index), value] for (key, index), value in self.replaced.items()]
        found += [["bits", prefix + key, *_flat(bits.items())] for key, bits in self.bits.items()]
        for key, changes in self.changes.items():
            changed = [each for item in changes.items() if item[1] for each in item]
            if changed:
                found.append(["counts", prefix + key, *changed])
        found += [["index", prefix + name, *members] for name, members in self.indexed.items()]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _flat(pairs: Iterable[tuple[object, object]]) -> list[object]:
    return [each for pair in pairs for each in pair]


def _append(commands: list[list[Any]], head: list[str], arguments: list[str]) -> None:
    starts = range(0, len(arguments), ARGUMENTS_MAX)
    commands.extend([*head, *arguments[start : start + ARGUMENTS_MAX]] for start in starts)
