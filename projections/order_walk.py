"""Looking at the orders read model: which orders can meet a search, in order, in a few bounded steps.

What names few orders is read as it is. Otherwise the bitmaps of a window are put together here, so that Redis only
hands out strings; windows further on are fetched when they are needed.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, cast

import redis

from ledger.errors import ReadUnavailable
from projections import keys, order_bits, order_columns, order_layout
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
WINDOWS_MAX = 32
STRINGS_MAX = 200
"""Strings of one look, of 4 KiB each: it must not keep Redis longer than a millisecond or two."""
CODES_STRINGS = 32
"""A window's column of accounts is as long as so many bitmaps."""


NO_AMOUNTS = Amounts([])
DECODED_MAX = 4_096
"""Documents remembered by their text: many look at the same newest orders."""

_decoded = lru_cache(DECODED_MAX)(decode)


@dataclass(slots=True, kw_only=True)
class _Looked:
    """A window as the filter's bitmaps leave it, its columns still to come where they are None."""

    index: int
    bits: int
    coded: Sequence[tuple[int, frozenset[int]]]
    by_name: dict[str, int]
    amounts: Amounts | None
    codes: Sequence[int] | None


class Gone(Exception):
    """The generation is gone, or Redis went back to an earlier state of it: look anew."""


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
        self._checkpoint = keys.checkpoint(NAME, self._live.generation)
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
        self._full: int = answer[8]
        self._windows: list[Any] = answer[9]

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
        windows, step, together = self._windows, WINDOWS_FIRST * 2, 1
        while windows:
            some = [found for each in windows if (found := self._put_together(*each)).bits]
            while some:
                self._complete(some[:together])
                yield from map(self._window, some[:together])
                some, together = some[together:], min(together * 2, max(1, STRINGS_MAX // self._strings_of_columns))
            beyond = windows[-1][0] + (-1 if self._descending else 1)
            windows = self._further(beyond, min(step, WINDOWS_MAX, max(1, STRINGS_MAX // max(1, len(self._maps)))))
            step *= 4

    def documents(self, numbers: Sequence[int]) -> list[OrderDocument]:
        """Return the documents with these numbers."""
        unknown = [each for each in numbers if each not in self._documents]
        for start in range(0, len(unknown), READ_MAX):
            some = unknown[start : start + READ_MAX]
            lines = self._run("order_documents", order_layout.DOCUMENTS_PER_BLOCK, *some)
            for number, line in zip(some, lines, strict=True):
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
        strings = iter(self._strings([f"{name}:{window}" for window in windows for name in self._maps]))
        return [[window, list(islice(strings, len(self._maps))), None, None] for window in windows]

    def _complete(self, some: Sequence[_Looked]) -> None:
        """Read the columns that are needed, and not known, of these windows."""
        prefix, wanted = self._live.prefix, []
        for each in some:
            if self._places and each.amounts is None:
                each.amounts = order_columns.amounts.get(prefix, each.index)
                if each.amounts is None:
                    wanted += [order_layout.amount_bits(place, each.index) for place in range(self._places)]
            if self._has_codes and each.codes is None:
                each.codes = order_columns.codes.get(prefix, each.index)
                if each.codes is None:
                    wanted.append(order_layout.account_codes(each.index))
        strings = iter(self._strings(wanted))
        for each in some:
            is_full = each.index < self._full
            if self._places and each.amounts is None:
                each.amounts = order_columns.amounts_of(list(islice(strings, self._places)))
                if is_full:
                    order_columns.amounts.keep(prefix, each.index, each.amounts)
            if self._has_codes and each.codes is None:
                each.codes = order_columns.codes_of(next(strings))
                if is_full:
                    order_columns.codes.keep(prefix, each.index, each.codes)

    def _strings(self, parts: Sequence[str]) -> list[bytes | None]:
        """Return the strings of the generation. Raises Gone."""
        if not parts:
            return []
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hget(self._checkpoint, "position")
        pipeline.mget([self._live.prefix + each for each in parts])
        position, strings = pipeline.execute()
        if position is None or int(position) < self.position:
            # Redis went back: what was full at the first look may not be so any more.
            raise Gone
        return cast("list[bytes | None]", strings)

    def _run(self, name: str, *arguments: Any) -> Any:
        """Run a script that reads of the generation as of `position` or later. Raises Gone."""
        found = run_script(self._client, name, [self._checkpoint], [self.position, self._live.prefix, *arguments])
        if found is None:
            raise Gone
        return found

    @property
    def _strings_of_columns(self) -> int:
        return max(1, self._places + CODES_STRINGS * self._has_codes)

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
                members, begin = self._run("order_references", begin, end, READ_MAX)
                found += [int(each[each.rindex(b"\0") + 1 :], 16) for each in members]
                if len(found) > REFERENCES_MAX:
                    return None
        return found

    def _put_together(
        self, index: int, maps: Sequence[bytes | None], amounts: Sequence[bytes | None] | None, column: bytes | None
    ) -> _Looked:
        before = index * order_layout.WINDOW
        bits = order_bits.between(self._low - 1 - before, self._high - 1 - before)
        by_name = {name: order_bits.of_bitmap(data) for name, data in zip(self._maps, maps, strict=True) if data}
        coded = []
        for position, clause in enumerate(self._clauses):
            if self._open[position]:
                continue
            some = self._named_in(position, before)
            for name in (*clause.maps, *(f"b:{each}" for each in clause.looked)):
                some |= by_name.get(name, 0)
            if self._codes[position]:
                coded.append((some, self._codes[position]))
            else:
                bits &= some
        return _Looked(
            index=index,
            bits=bits,
            coded=coded,
            by_name=by_name,
            amounts=None if amounts is None else order_columns.amounts_of(amounts),
            codes=None if column is None else order_columns.codes_of(column),
        )

    def _window(self, looked: _Looked) -> tuple[Window, dict[str, int]]:
        amounts, bits = looked.amounts or NO_AMOUNTS, looked.bits
        if self._filters.amounts is not None:
            bits = amounts.from_to(*self._filters.amounts, among=bits)
        return Window(looked.index, bits, looked.coded, looked.codes or (), amounts), looked.by_name

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
