"""A read model in plain dictionaries: what a fold of the log should have left in Redis."""

from __future__ import annotations

from collections.abc import Sequence

from projections.steps import Step


class MemoryModel:
    """The hashes and sorted sets that steps lead to, by relative key."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: dict[str, dict[str, int]] = {}

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        """Return the value of each (hash, field)."""
        return [self.hashes.get(key, {}).get(field) for key, field in wanted]

    def apply(self, step: Step) -> None:
        """Do what the script does in Redis."""
        for key, values in step.hashes.items():
            self.hashes.setdefault(key, {}).update(values)
        for key, members in step.sets.items():
            kept = self.sets.setdefault(key, {})
            for member, score in members.items():
                if score is None:
                    kept.pop(member, None)
                else:
                    kept[member] = int(score)

    def sorted_set(self, key: str) -> list[tuple[bytes, float]]:
        """Return a sorted set in Redis's order: by score, then by bytes."""
        entries = [(member.encode(), float(score)) for member, score in self.sets.get(key, {}).items()]
        return sorted(entries, key=lambda entry: (entry[1], entry[0]))

    def keys(self) -> set[str]:
        """Return the keys that hold anything."""
        return {key for key, values in (self.hashes | self.sets).items() if values}

    def dump(self) -> dict[str, list[tuple[bytes, bytes | float]]]:
        """Return everything, in one order whatever the steps were."""
        found: dict[str, list[tuple[bytes, bytes | float]]] = {}
        for key in self.keys():
            if key in self.hashes:
                found[key] = sorted((name.encode(), value.encode()) for name, value in self.hashes[key].items())
            else:
                found[key] = list(self.sorted_set(key))
        return found
