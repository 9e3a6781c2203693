"""What a window of orders has for a search, in the order of walking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from projections import order_bits, order_layout
from projections.order_bits import Amounts

CHUNK = 1_024
"""Places whose codes are compared at once, where most orders of a window can match."""


@dataclass(frozen=True, slots=True)
class Window:
    """What can match in a window: `bits`, if they also have, for each of `coded`, one of the bits or of the codes."""

    index: int
    bits: int
    coded: Sequence[tuple[int, frozenset[int]]]
    column: Sequence[int]
    amounts: Amounts

    def numbers(self, *, descending: bool) -> Iterator[int]:
        """Yield the numbers of what can match."""
        first = self.index * order_layout.WINDOW + 1
        return (first + place for place in self._places(descending=descending))

    def all_bits(self) -> int:
        """Return the set of what can match."""
        found = self.bits
        for bits, codes in self.coded:
            found &= bits | order_bits.with_codes(self.column, codes, found & ~bits)
        return found

    def _places(self, *, descending: bool) -> Iterator[int]:
        if not self.coded:
            return order_bits.places_of(self.bits, descending=descending)
        if order_bits.is_full(self.bits):
            return self._full_places(descending=descending)
        return self._few_places(descending=descending)

    def _few_places(self, *, descending: bool) -> Iterator[int]:
        column, last = self.column, order_layout.WINDOW - 1
        for place in order_bits.places_of(self.bits, descending=descending):
            for bits, codes in self.coded:
                if column[place] not in codes and not bits >> last - place & 1:
                    break
            else:
                yield place

    def _full_places(self, *, descending: bool) -> Iterator[int]:
        """Yield chunk by chunk, because the first ones usually do."""
        starts = range(0, order_layout.WINDOW, CHUNK)
        for start in reversed(starts) if descending else starts:
            among = self.bits & order_bits.between(start, start + CHUNK - 1)
            if among:
                chunk = Window(self.index, among, self.coded, self.column, self.amounts).all_bits()
                yield from order_bits.places_of(chunk, descending=descending)
