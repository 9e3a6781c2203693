"""What a batch of events changes in a read model, as a few kinds of writes.

Keys are relative to the generation. The same writes are applied to Redis by one script, and to plain dictionaries when
the log is folded beside it for comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import msgspec

from projections import order_layout

_encode = msgspec.json.Encoder().encode
ARGUMENTS_MAX = 1_000
"""Arguments of one write; Lua's stack ends at a few thousand."""


INTEGER_BITS = 63
"""Bits that Redis sets at once."""


class Unappliable(Exception):
    """An event that cannot be applied to a read model: it stops there, and a person must look."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


class Reader(Protocol):
    """The read model as it stands before a step."""

    @property
    def recent(self) -> Mapping[Any, Any]:
        """What earlier folds noted and is still so; it may always be empty."""

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        """Return the value of each (hash, field)."""

    def items(self, wanted: Sequence[tuple[str, int]]) -> list[str | None]:
        """Return the value of each (list, index)."""


class Step:
    """The writes of one batch; the last write to a field or item wins.

    `noted` is what a fold wants to find in the next reader's `recent` instead of reading it.
    """

    def __init__(self) -> None:
        self.hashes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.joined: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        self.pushed: defaultdict[str, list[str]] = defaultdict(list)
        self.listed: defaultdict[str, list[int]] = defaultdict(list)
        self.filled: list[tuple[str, int, str]] = []
        self.coded: list[tuple[str, int, Sequence[int]]] = []
        self.replaced: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self.bits: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.changes: defaultdict[str, defaultdict[str, int]] = defaultdict(_counters)
        self.indexed: defaultdict[str, list[str]] = defaultdict(list)
        self.noted: dict[Any, Any] = {}

    def put(self, key: str, field: str, value: str) -> None:
        """Set a field of a hash."""
        self.hashes[key][field] = value

    def join(self, key: str, field: str, value: str) -> None:
        """Append to a field of a hash, after a comma if there is something."""
        self.joined[key].append((field, value))

    def push(self, key: str, value: str) -> None:
        """Append to a list."""
        self.pushed[key].append(value)

    def replace(self, key: str, index: int, value: str) -> None:
        """Set an item of a list that is there."""
        self.replaced[key][index] = value

    def mark(self, key: str, bit: int, *, is_set: bool) -> None:
        """Set or clear a bit of a bitmap."""
        self.bits[key][bit] = int(is_set)

    def list_number(self, part: str, number: int) -> None:
        """Append to a list of numbers, or, once the list is dense, set the number's bit; see order_layout."""
        self.listed[part].append(number)

    def fill(self, key: str, first: int, bits: str) -> None:
        """Put binary digits in a bitmap where nothing was, up to `WINDOW` in all."""
        self.filled.append((key, first, bits))

    def code(self, key: str, first: int, codes: Sequence[int]) -> None:
        """Put codes of four bytes in a column of `WINDOW` where nothing was."""
        self.coded.append((key, first, codes))

    def count(self, key: str, field: str, change: int) -> None:
        """Add to a counter; one that comes to zero is removed."""
        self.changes[key][field] += change

    def index(self, name: str, member: str) -> None:
        """Put a member in a sorted index."""
        self.indexed[name].append(member)

    def writes(self) -> bytes:
        """Return the writes as JSON for the script: of each its action, key and number of arguments, then these.

        One flat list, because arguments of their own, or lists inside, cost Python and Lua more than the writes do.
        """
        found: list[Any] = []
        for key, values in self.hashes.items():
            _append(found, "HSET", key, _flat(values.items()))
        for key, pairs in self.joined.items():
            _append(found, "join", key, _flat(pairs))
        for key, texts in self.pushed.items():
            _append(found, "RPUSH", key, texts)
        for key, numbers in self.listed.items():
            rule = (order_layout.WINDOW, order_layout.DENSE_MIN, order_layout.DENSE_SHARE)
            found += ("listed", key, len(rule) + len(numbers), *rule, *numbers)
        for key, first, digits in self.filled:
            _append_filled(found, key, first, digits)
        for key, first, codes in self.coded:
            found += ("codes", key, 2 + len(codes), order_layout.WINDOW, first, *codes)
        for key, items in self.replaced.items():
            _append(found, "items", key, _flat(items.items()))
        for key, bits in self.bits.items():
            _append(found, "bits", key, _flat(bits.items()))
        for key, changes in self.changes.items():
            # As text: a number in Lua is exact up to 2**53 only.
            _append(found, "counts", key, _flat([(name, str(change)) for name, change in changes.items() if change]))
        for name, members in self.indexed.items():
            _append(found, "index", name, members)
        return _encode(found)


def _counters() -> defaultdict[str, int]:
    return defaultdict(int)


def _flat(pairs: Iterable[tuple[object, object]]) -> list[object]:
    return list(chain.from_iterable(pairs))


def _append_filled(found: list[Any], key: str, first: int, bits: str) -> None:
    chunks = [(start, bits[start : start + INTEGER_BITS]) for start in range(0, len(bits), INTEGER_BITS)]
    sets = [
        each
        for start, chunk in chunks
        if (value := int(chunk, 2))
        for each in ("SET", f"u{len(chunk)}", first + start, str(value))
    ]
    if sets:
        # The end first: Redis makes a new string as long as it must be, but doubles one that grows.
        end = ("SET", "u1", order_layout.WINDOW - 1, 0)
        found += ("BITFIELD", key, len(end) + len(sets), *end, *sets)


def _append(found: list[Any], action: str, key: str, arguments: Sequence[object]) -> None:
    if len(arguments) <= ARGUMENTS_MAX:
        if arguments:
            found += (action, key, len(arguments), *arguments)
        return
    for start in range(0, len(arguments), ARGUMENTS_MAX):
        _append(found, action, key, arguments[start : start + ARGUMENTS_MAX])
