"""What the events of a range come to: their number, by type, the sums of their postings, and the tree's root."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ledger.exporting.events import ExportedEvent, broken, legs
from ledger.proofs.tree import GrowingTree


class Totals:
    """Adds events up as they come. `tree`: that of the events before the range.

    Memory grows with the number of ledger accounts, not with that of events.
    """

    def __init__(self, tree: GrowingTree) -> None:
        self.tree = tree
        self.events = 0
        self.types: Counter[str] = Counter()
        self.sums: Counter[tuple[str, str]] = Counter()

    @property
    def position(self) -> int:
        """The last event's position."""
        return self.tree.size

    def take(self, events: Sequence[ExportedEvent]) -> None:
        """Add the next events. Raises CannotTell when a position is missing."""
        add, sums = self.tree.add, self.sums
        for event in events:
            if event.position != self.tree.size + 1:
                raise broken(self.tree.size + 1)
            add(bytes.fromhex(event.leaf_hash))
            for leg in legs(event):
                sums[leg.account, leg.currency] += leg.amount_minor
        self.types.update([event.type for event in events])
        self.events += len(events)

    def ensure_position(self, last: int) -> None:
        """Raise CannotTell when the events do not reach a position."""
        if self.position != last:
            raise broken(self.position + 1)
