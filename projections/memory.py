"""A read model in plain dictionaries: what a fold of the log should have left in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from projections.order_layout import SEGMENT_MAX
from projections.steps import Step


class MemoryModel:
    """The hashes and sorted sets that steps lead to, by relative key."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: dict[str, dict[str, int]] = {}
        self.lists: dict[str, list[str]] = {}
        self.bitmaps: dict[str, set[int]] = {}
        # Nothing: every comparison reads what a step left.
        self.recent: Mapping[Any, Any] = {}

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        """Return the value of each (hash, field)."""
        return [self.hashes.get(key, {}).get(field) for key, field in wanted]

    def items(self, wanted: Sequence[tuple[str, int]]) -> list[str | None]:
        """Return the value of each (list, index)."""
        found = [(self.lists.get(key, []), index) for key, index in wanted]
        return [values[index] if index < len(values) else None for values, index in found]

    def apply(self, step: Step) -> None:
        """Do what the script does in Redis."""
        for key, values in step.hashes.items():
            self.hashes.setdefault(key, {}).update(values)
        for key, pairs in step.joined.items():
            fields = self.hashes.setdefault(key, {})
            for field, value in pairs:
                fields[field] = f"{fields[field]},{value}" if field in fields else value
        for key, texts in step.pushed.items():
            self.lists.setdefault(key, []).extend(texts)
        for key, items in step.replaced.items():
            for index, value in items.items():
                self.lists[key][index] = value
        for key, bits in step.bits.items():
            for bit, is_set in bits.items():
                (set.add if is_set else set.discard)(self.bitmaps.setdefault(key, set()), bit)
        for key, counted in step.changes.items():
            counters = self.hashes.setdefault(key, {})
            for field, change in counted.items():
                counters[field] = str(int(counters.get(field, "0")) + change)
                if counters[field] == "0":
                    del counters[field]
        for name, indexed in step.indexed.items():
            for member in indexed:
                self._insert(name, member)

    def _insert(self, name: str, member: str) -> None:
        directory = self.sets.setdefault(name, {"": 0})
        first = max((each for each in directory if each.encode() <= member.encode()), key=str.encode)
        segment = self.sets.setdefault(f"{name}:{first}", {})
        segment[member] = 0
        if len(segment) > SEGMENT_MAX:
            upper = sorted(segment, key=str.encode)[SEGMENT_MAX // 2 :]
            for each in upper:
                del segment[each]
            directory[upper[0]] = 0
            self.sets[f"{name}:{upper[0]}"] = dict.fromkeys(upper, 0)

    def bitmap(self, key: str) -> bytes:
        """Return a bitmap's bytes, without zero bytes at the end."""
        found = bytearray()
        for bit in sorted(self.bitmaps.get(key, ())):
            found.extend(bytes(bit // 8 + 1 - len(found)))
            found[bit // 8] |= 128 >> bit % 8
        return bytes(found)

    def sorted_set(self, key: str) -> list[tuple[bytes, float]]:
        """Return a sorted set in Redis's order: by score, then by bytes."""
        entries = [(member.encode(), float(score)) for member, score in self.sets.get(key, {}).items()]
        return sorted(entries, key=lambda entry: (entry[1], entry[0]))

    def keys(self) -> set[str]:
        """Return the keys that hold anything."""
        everything: dict[str, Any] = {**self.hashes, **self.sets, **self.lists, **self.bitmaps}
        return {key for key, values in everything.items() if values}

    def dump(self) -> dict[str, Any]:
        """Return everything, in one order whatever the steps were."""
        found: dict[str, Any] = {}
        for key in self.keys():
            if key in self.hashes:
                found[key] = sorted((name.encode(), value.encode()) for name, value in self.hashes[key].items())
            elif key in self.lists:
                found[key] = [each.encode() for each in self.lists[key]]
            elif key in self.bitmaps:
                found[key] = self.bitmap(key)
            else:
                found[key] = list(self.sorted_set(key))
        return found
