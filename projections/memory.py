"""A read model in plain dictionaries: what a fold of the log should have left in Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from projections import order_layout
from projections.steps import Step


class MemoryModel:
    """The hashes and sorted sets that steps lead to, by relative key."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: dict[str, dict[str, int]] = {}
        self.lists: dict[str, list[str]] = {}
        self.strings: dict[str, bytearray] = {}
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
        for part, numbers in step.listed.items():
            for number in numbers:
                self._list(part, number)
        for key, first, text in step.filled:
            for bit, digit in enumerate(text, first):
                if digit == "1":
                    self._set(key, bit, is_set=True)
        for key, first, codes in step.coded:
            held, start = self.strings.setdefault(key, bytearray()), first * order_layout.CODE_BYTES
            held.extend(bytes(max(0, start - len(held))))
            held[start:] = b"".join(each.to_bytes(order_layout.CODE_BYTES, "little") for each in codes)
        for key, bits in step.bits.items():
            for bit, is_set in bits.items():
                self._set(key, bit, is_set=bool(is_set))
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
        if len(segment) > order_layout.SEGMENT_MAX:
            upper = sorted(segment, key=str.encode)[order_layout.SEGMENT_MAX // 2 :]
            for each in upper:
                del segment[each]
            directory[upper[0]] = 0
            self.sets[f"{name}:{upper[0]}"] = dict.fromkeys(upper, 0)

    def _list(self, part: str, number: int) -> None:
        held, dense = self.strings.setdefault(part, bytearray()), self.hashes.setdefault("x", {})
        length = len(held) // order_layout.NUMBER_BYTES + 1
        if part not in dense and length > order_layout.DENSE_MIN and length * order_layout.DENSE_SHARE >= number:
            dense[part] = str(number)
        if part in dense:
            window, bit = order_layout.window_of(number)
            self._set(f"b:{part}:{window}", bit, is_set=True)
        else:
            held.extend(order_layout.packed_number(number))

    def _set(self, key: str, bit: int, *, is_set: bool) -> None:
        held = self.strings.setdefault(key, bytearray())
        held.extend(bytes(max(0, bit // 8 + 1 - len(held))))
        held[bit // 8] = held[bit // 8] & ~(128 >> bit % 8) | is_set * (128 >> bit % 8)

    def string(self, key: str) -> bytes:
        """Return a string's bytes, without zero bytes at the end."""
        return bytes(self.strings.get(key, b"")).rstrip(b"\0")

    def sorted_set(self, key: str) -> list[tuple[bytes, float]]:
        """Return a sorted set in Redis's order: by score, then by bytes."""
        entries = [(member.encode(), float(score)) for member, score in self.sets.get(key, {}).items()]
        return sorted(entries, key=lambda entry: (entry[1], entry[0]))

    def keys(self) -> set[str]:
        """Return the keys that hold anything."""
        everything: dict[str, Any] = {
            **self.hashes,
            **self.sets,
            **self.lists,
            **{key: self.string(key) for key in self.strings},
        }
        return {key for key, values in everything.items() if values}

    def dump(self) -> dict[str, Any]:
        """Return everything, in one order whatever the steps were."""
        found: dict[str, Any] = {}
        for key in self.keys():
            if key in self.hashes:
                found[key] = sorted((name.encode(), value.encode()) for name, value in self.hashes[key].items())
            elif key in self.lists:
                found[key] = [each.encode() for each in self.lists[key]]
            elif key in self.strings:
                found[key] = self.string(key)
            else:
                found[key] = list(self.sorted_set(key))
        return found
