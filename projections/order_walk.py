"""Looking at the orders read model: which orders can meet a search, in order, in a few bounded steps.

What names few orders is read as it is. Otherwise the bitmaps of a window are put together here, so that Redis only
hands out strings; windows further on are fetched when they are needed.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import redis

from ledger.errors import ReadUnavailable
from projections import keys, order_bits, order_layout
from projections.generations import Generation, run_script
from projections.order_bits import Amounts
from projections.order_documents import STATUS_CODES, OrderDocument, decode
from projections.order_filters import Clause, OrderFilters, clauses_of
from projections.order_window import Window
from projections.orders import NAME

NUMBERS_MAX = 100
"""Orders that a part of the filter may name to be read as they are."""
NAMED_MAX = 2_000
"""Orders that ids and references may lead to in the first look."""
LISTED_MAX = 10_000
"""Orders on the lists of many customers that are put together; of more, customers are recognised by code."""
DOCUMENTS_MAX = 64
"""Documents that come along with the numbers of the first look."""
READ_MAX = 500
"""Documents, or references, read in one step of Redis."""
REFERENCES_MAX = 200_000
"""References of one beginning that are read; what more have is found by looking at documents."""
WINDOWS_FIRST = 2
"""Windows of the first look: the newest one may hold but a few orders."""
WINDOWS_MAX = 16
STRINGS_MAX = 200
"""Strings of one look, of 4 KiB each: it must not keep Redis longer than a millisecond or two."""
CODES_STRINGS = 32
"""A window's column of accounts is as long as so many bitmaps."""


DECODED_MAX = 4_096
"""Documents remembered by their text: many look at the same newest orders."""

_decoded = lru_cache(DECODED_MAX)(decode)


class Gone(Exception):
    """The generation is gone; another one is live by now."""


class OrderWalk:
    """One search's look at one generation; `position` is what it reflects.

    `numbers` are the orders that the filter names, ascending; None: `windows` has what can match. Raises Gone,
    ReadUnavailable.
    """

    def __init__(
        self,
        client: redis.Redis,
        filters: OrderFilters,
        *,
        descending: bool,
        after: int | None = None,
        amounts: bool = False,
        statuses: bool = False,
        clauses: Sequence[Clause] | None = None,
    ) -> None:
        """Look for the first time.

        `after` is the number to go on after; `amounts` and `statuses`: the windows need them, whatever the filter.
        """
        self._client, self._filters, self._descending = client, filters, descending
        self._clauses = clauses_of(filters) if clauses is None else clauses
        maps = [f"b:{part}" for clause in self._clauses for part in clause.looked]
        maps += [each for clause in self._clauses for each in clause.maps]
        if statuses:
            maps += [f"s:{each}" for each in STATUS_CODES.values()]
        self._maps = list(dict.fromkeys(maps))
        self._has_amounts = amounts or filters.amounts is not None
        self._has_codes = any(clause.codes for clause in self._clauses)
        answer = self._look(self._first_request(after))
        self.position, self._low, self._high = int(answer[1]), answer[2], answer[3]
        self._live = Generation(client, NAME, answer[0].decode())
        self.numbers: list[int] | None = None
        self._documents: dict[int, str] = {}
        if answer[4] == b"numbers":
            self.numbers = sorted({each for each in answer[5] if self._low <= each <= self._high})
            self._documents = {each: line.decode() for each, line in zip(answer[5], answer[6], strict=False)}
            return
        self._open = [not complete for complete, _ in answer[5]]
        self._codes = [
            # Lists that are all in one are complete.
            frozenset() if isinstance(lists, bytes) else each.codes
            for each, lists in zip(self._clauses, answer[6], strict=True)
        ]
        self._has_codes = any(self._codes)
        self._named = [_sorted(named, lists) for (_, named), lists in zip(answer[5], answer[6], strict=True)]
        self._places: int = answer[7]
        self._windows: list[Any] = answer[8]

    @property
    def is_open(self) -> bool:
        """Whether a part of the filter says nothing about what is in `windows`, as it names too many orders."""
        return self.numbers is None and any(self._open)

    @property
    def is_exact(self) -> bool:
        """Whether all in `windows` matches, but for changes since."""
        return not self._has_codes and not self.is_open

    def name_all(self) -> None:
        """Read the references that were too many at first; what has far too many stays open."""
        for index, clause in enumerate(self._clauses):
            if self._open[index]:
                numbers = self._of_references(clause.ranges)
                self._open[index] = numbers is None
                self._named[index] = sorted([*self._named[index], *(numbers or ())])

    def windows(self) -> Iterator[tuple[Window, dict[str, int]]]:
        """Yield the windows in walking order, as far as they can have matches, and their bitmaps by name."""
        windows, step = self._windows, WINDOWS_FIRST * 2
        while windows:
            for each in windows:
                yield self._window(*each)
            beyond = windows[-1][0] + (-1 if self._descending else 1)
            strings = len(self._maps) + self._places + CODES_STRINGS * self._has_codes
            windows = self._further(beyond, max(1, min(step, WINDOWS_MAX, STRINGS_MAX // max(1, strings))))
            step *= 2

    def documents(self, numbers: Sequence[int]) -> list[OrderDocument]:
        """Return the documents with these numbers."""
        unknown = [each for each in numbers if each not in self._documents]
        for start in range(0, len(unknown), READ_MAX):
            some = unknown[start : start + READ_MAX]
            arguments = [self._live.prefix, order_layout.DOCUMENTS_PER_BLOCK, *some]
            for number, line in zip(some, run_script(self._client, "order_documents", [], arguments), strict=True):
                if line is None:
                    raise Gone
                self._documents[number] = line.decode()
        return [_decoded(each, self._documents[each]) for each in numbers]

    def _first_request(self, after: int | None) -> dict[str, Any]:
        request: dict[str, Any] = {
            "pointer": keys.pointer(NAME),
            "clauses": [each.request() for each in self._clauses],
            "numbers_max": NUMBERS_MAX,
            "named_max": NAMED_MAX,
            "listed_max": LISTED_MAX,
            "documents_max": DOCUMENTS_MAX,
            "data": keys.data(NAME, "")[:-1],
            "window": order_layout.WINDOW,
            "descending": self._descending,
            "maps": self._maps,
            "amounts": self._has_amounts,
            "codes": self._has_codes,
            "dense_min": order_layout.DENSE_MIN,
            "windows_max": WINDOWS_FIRST,
        }
        if self._filters.placed_from is not None:
            request["placed_from"] = self._filters.placed_from
        if self._filters.placed_to is not None:
            request["placed_to"] = self._filters.placed_to
        if after is not None:
            request |= {"high": after - 1} if self._descending else {"low": after + 1}
        return request

    def _further(self, window: int, windows_max: int) -> list[Any]:
        """Return windows from one on, as the script does, but as strings that do not pass through Lua."""
        if self._descending:
            windows = range(window, max(order_layout.window_of(self._low)[0] - 1, window - windows_max), -1)
        else:
            windows = range(window, min(order_layout.window_of(self._high)[0] + 1, window + windows_max))
        names = [*self._maps, *(f"a:{place}" for place in range(self._places))]
        if self._has_codes:
            names.append("u")
        if not windows:
            return []
        if not names:
            return [[window, [], [], b""] for window in windows]
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hget(keys.checkpoint(NAME, self._live.generation), "position")
        pipeline.mget([f"{self._live.prefix}{name}:{window}" for window in windows for name in names])
        position, strings = pipeline.execute()
        if position is None:
            raise Gone
        found, maps, places = [], len(self._maps), len(self._maps) + self._places
        for number, window in enumerate(windows):
            some = [each or b"" for each in strings[number * len(names) : (number + 1) * len(names)]]
            found.append([window, some[:maps], some[maps:places], some[places] if self._has_codes else b""])
        return found

    def _look(self, request: dict[str, Any]) -> Any:
        text = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
        answer = run_script(self._client, "order_walk", [], [text])
        if answer[0] == b"":
            if answer[1] == b"unbuilt":
                raise ReadUnavailable(reason="the read model is being built")
            raise Gone
        return answer

    def _of_references(self, ranges: Sequence[Sequence[str]]) -> list[int] | None:
        """Return the numbers of all references in the ranges; None when they are far too many."""
        found: list[int] = []
        for start, *ends in ranges:
            begin, end = b"[" + start.encode(), b"(" + (ends[0].encode() if ends else start.encode() + b"\xff")
            while begin:
                arguments = [self._live.prefix, begin, end, READ_MAX]
                members, begin = run_script(self._client, "order_references", [], arguments)
                found += [int(each[each.rindex(b"\0") + 1 :], 16) for each in members]
                if len(found) > REFERENCES_MAX:
                    return None
        return found

    def _window(
        self, index: int, maps: list[bytes], places: list[bytes], column: bytes
    ) -> tuple[Window, dict[str, int]]:
        before = index * order_layout.WINDOW
        bits = order_bits.between(self._low - 1 - before, self._high - 1 - before)
        by_name = {name: order_bits.of_bitmap(data) for name, data in zip(self._maps, maps, strict=True)}
        coded = []
        for position, clause in enumerate(self._clauses):
            if self._open[position]:
                continue
            some = self._named_in(position, before)
            for name in (*clause.maps, *(f"b:{each}" for each in clause.looked)):
                some |= by_name[name]
            if self._codes[position]:
                coded.append((some, self._codes[position]))
            else:
                bits &= some
        amounts = Amounts([])
        if bits and self._places:
            highest = max((place for place, data in enumerate(places) if data), default=-1)
            amounts = Amounts([order_bits.of_bitmap(each) for each in places[: highest + 1]])
            if self._filters.amounts is not None:
                bits = amounts.from_to(*self._filters.amounts, among=bits)
        return Window(index, bits, coded, column, amounts), by_name

    def _named_in(self, position: int, before: int) -> int:
        named = self._named[position]
        start, end = bisect_left(named, before + 1), bisect_right(named, before + order_layout.WINDOW)
        return order_bits.of_places([each - 1 - before for each in named[start:end]]) if start < end else 0


def _sorted(named: list[int], lists: Any) -> list[int]:
    """Return the numbers that a part of the filter names or has on lists, as far as they were handed out."""
    found = list(named)
    if lists != 0:
        found += order_layout.unpacked_numbers(lists if isinstance(lists, bytes) else b"".join(lists))
    return sorted(found)
