"""Searching plain sorted sets in Redis: one for each customer and status, by position, intersected for each question.

It hands out numbers only; fetching the documents would come on top.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Self
from weakref import WeakKeyDictionary

import redis

from bench.order_book import STATUSES, OrderBook
from projections.search import OrderFilters

MEMBERS_A_COMMAND = 1_000
COMMANDS_A_PIPELINE = 200
_RESULT = "result"
_made: WeakKeyDictionary[OrderBook, OrdersZsets] = WeakKeyDictionary()


class OrdersZsets:
    """The sets, filled."""

    def __init__(self, url: str, book: OrderBook) -> None:
        self._client = redis.Redis.from_url(url)
        self._customers = {each: number for number, each in enumerate(book.customer_ids)}
        members: defaultdict[str, dict[str | bytes, int]] = defaultdict(dict)
        for place in range(book.orders):
            for key in (f"c:{book.customers[place]}", f"s:{book.status(place)}"):
                members[key][str(place + 1)] = book.placed_position(place)
        pipeline = self._client.pipeline(transaction=False)
        for key, scores in members.items():
            items = list(scores.items())
            for start in range(0, len(items), MEMBERS_A_COMMAND):
                pipeline.zadd(key, dict(items[start : start + MEMBERS_A_COMMAND]))
                if len(pipeline) >= COMMANDS_A_PIPELINE:
                    pipeline.execute()
        pipeline.execute()

    @classmethod
    def of(cls, url: str, book: OrderBook) -> Self:
        """Return the sets with a book's orders, made once."""
        if book not in _made:
            _made[book] = cls(url, book)
        return _made[book]  # type: ignore[return-value]

    def search(self, filters: OrderFilters, limit: int) -> list[int]:
        """Return the numbers of the newest orders that match; every filter may name one value."""
        sets = [f"c:{self._customers[each]}" for each in filters.customer_ids or ()]
        sets += [f"s:{each}" for each in filters.statuses or () if each in STATUSES]
        pipeline = self._client.pipeline()
        if len(sets) > 1:
            pipeline.zinterstore(_RESULT, sets, aggregate="MAX")
        source = _RESULT if len(sets) > 1 else sets[0]
        highest = "+inf" if filters.placed_to is None else filters.placed_to
        pipeline.zrevrangebyscore(source, highest, filters.placed_from or 0, 0, limit)
        pipeline.delete(_RESULT)
        answers: list[Any] = pipeline.execute()
        return [int(each) for each in answers[-2]]
