"""What every order of a window has, whatever is searched for: its amount, and a hash of its account.

Both are written once, when an order is placed. So the columns of a full window never change, and a process remembers
those that it looked at last: searching a shop's past by amount or by name reads them from Redis once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from projections import order_bits, order_layout
from projections.order_bits import Amounts

AMOUNTS_MAX = 256
"""Windows whose amounts are remembered: 20 MiB or so, 8 million orders."""
CODES_MAX = 96
"""Windows whose accounts' hashes are remembered: 12 MiB, 3 million orders."""

Column = TypeVar("Column")


@dataclass(slots=True)
class Remembered(Generic[Column]):
    """Columns of full windows, by generation and window; of more than `most` the oldest are forgotten. Thread-safe."""

    most: int
    _known: dict[tuple[str, int], Column] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def get(self, prefix: str, window: int) -> Column | None:
        """Return the column if it is known."""
        return self._known.get((prefix, window))

    def keep(self, prefix: str, window: int, column: Column) -> None:
        """Remember the column of a full window."""
        with self._changing:
            self._known[prefix, window] = column
            while len(self._known) > self.most:
                del self._known[next(iter(self._known))]


amounts = Remembered[Amounts](AMOUNTS_MAX)
codes = Remembered[Sequence[int]](CODES_MAX)


def amounts_of(bitmaps: Sequence[bytes | None]) -> Amounts:
    """Return a window's amounts from the bitmaps of their binary places, the lowest first."""
    highest = max((place for place, data in enumerate(bitmaps) if data), default=-1)
    return Amounts([order_bits.of_bitmap(each or b"") for each in bitmaps[: highest + 1]])


def codes_of(column: bytes | None) -> Sequence[int]:
    """Return the codes of a window's orders."""
    return order_layout.unpacked_numbers(column or b"")
