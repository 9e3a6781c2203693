"""Sets of orders in a window as integers: the first order is the highest of `WINDOW` binary digits.

Python's integers do for thousands of orders at once what a loop does for one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from projections import order_layout

FULL_SHARE = 8
"""A set with one order of so many is full enough to look at all orders instead of picking its own."""


def of_bitmap(data: bytes) -> int:
    """Return the set that Redis keeps as a bitmap."""
    if not data:
        return 0
    return int.from_bytes(data, "big") << 8 * (order_layout.WINDOW // 8 - len(data))


def of_places(places: Iterable[int]) -> int:
    """Return the set of the orders at these places."""
    found = bytearray(order_layout.WINDOW // 8)
    for place in places:
        found[place >> 3] |= 128 >> (place & 7)
    return int.from_bytes(found, "big")


def between(first: int, last: int) -> int:
    """Return the set of the orders from one place to another, both cut to the window."""
    first, last = max(first, 0), min(last, order_layout.WINDOW - 1)
    if first > last:
        return 0
    return (1 << order_layout.WINDOW - first) - (1 << order_layout.WINDOW - 1 - last)


def places_of(bits: int, *, descending: bool) -> Iterator[int]:
    """Yield the places of a set's orders, first or last first."""
    digits = f"{bits:0{order_layout.WINDOW}b}"
    if descending:
        place = digits.rfind("1")
        while place >= 0:
            yield place
            place = digits.rfind("1", 0, place)
    else:
        place = digits.find("1")
        while place >= 0:
            yield place
            place = digits.find("1", place + 1)


@dataclass(frozen=True, slots=True)
class Amounts:
    """The amounts of a window's orders: one set for each binary place, the lowest first."""

    places: Sequence[int]

    def below(self, amount_minor: int, among: int) -> tuple[int, int]:
        """Return which of these orders have a lower amount, and which have this one."""
        less, same = 0, among
        for place in range(max(len(self.places), amount_minor.bit_length()) - 1, -1, -1):
            ones = same & self.places[place] if place < len(self.places) else 0
            if amount_minor >> place & 1:
                less |= same ^ ones
                same = ones
            else:
                same ^= ones
            if not same:
                break
        return less, same

    def from_to(self, lowest: int, highest: int, among: int) -> int:
        """Return which of these orders have an amount from one to the other, both inclusive."""
        less, same = self.below(highest, among)
        wanted = less | same
        return wanted if lowest <= 0 else wanted ^ self.below(lowest, wanted)[0]


def is_full(bits: int) -> bool:
    """Say whether the set has so many of the orders between its first and last that looking at all is as good."""
    span = bits.bit_length() - (bits & -bits).bit_length()
    return bits.bit_count() * FULL_SHARE > span


def with_codes(column: Sequence[int], codes: Collection[int], among: int) -> int:
    """Return which of these orders have one of the codes in the column."""
    if is_full(among):
        first, last = order_layout.WINDOW - among.bit_length(), order_layout.WINDOW - (among & -among).bit_length()
        some = [place for place, code in enumerate(column[first : last + 1], first) if code in codes]
        return of_places(some) & among
    return of_places([place for place in places_of(among, descending=False) if column[place] in codes])


def extreme(windows: Sequence[tuple[int, Amounts]], wanted: int, *, highest: bool) -> tuple[list[int], list[int]]:
    """Return, of each window's set, so many orders in all that have the highest (lowest) amounts.

    First those that are certainly among them, at most `wanted`; then those that share one amount, of which as many
    belong as are missing. Source: O'Neil and Quass, "Improved query performance with variant indexes", 1997.
    """
    chosen, left = [0] * len(windows), [bits for bits, _ in windows]
    count = 0
    for place in range(max((len(amounts.places) for _, amounts in windows), default=0) - 1, -1, -1):
        ones = [
            bits & amounts.places[place] if place < len(amounts.places) else 0
            for bits, (_, amounts) in zip(left, windows, strict=True)
        ]
        better = ones if highest else [bits ^ one for bits, one in zip(left, ones, strict=True)]
        more = sum(bits.bit_count() for bits in better)
        if count + more > wanted:
            left = better
        else:
            chosen = [bits | some for bits, some in zip(chosen, better, strict=True)]
            left = [bits ^ some for bits, some in zip(left, better, strict=True)]
            count += more
    return chosen, left
