"""Search orders: by customer, product, status, time, amount, reference and words, in four orders, page by page.

Pages go on after a sort key, so their depth costs nothing and an order that changes meanwhile moves no other. What the
indexes lead to is checked on the documents, which may be younger: a page reflects the position of the first look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice
from typing import Literal, TypeVar

import redis

from ledger.errors import ReadUnavailable
from ledger.orders import STATUSES
from projections import order_bits, order_counts, order_layout
from projections.order_documents import STATUS_CODES, OrderDocument
from projections.order_filters import Clause, FreeText, OrderFilters, check_of
from projections.order_walk import Gone, OrderWalk
from projections.redis_clients import reading

__all__ = ["FreeText", "OrderFilters", "OrderPage", "Count", "count_by_status", "read_orders", "search"]

Sort = Literal["newest", "oldest", "amount", "-amount"]
LIMIT_MAX = 500
LISTED_MAX = 1_000
SWITCHES_MAX = 5
CANDIDATES_MAX = 150_000
"""Documents looked at for one page; a page that needs more is handed out short, with where to go on."""
CHUNK_MIN, CHUNK_MAX = 20, 500
FEW_SHARE = 10
"""When fewer than one of so many documents match, what names too many orders is read after all."""
COUNT_MAX = 2_000
"""Orders counted one by one at most, where the indexes do not know."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPage:
    """Orders in order, where to go on (None: that was all), and the position reflected."""

    orders: Sequence[OrderDocument]
    next: str | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many orders; not exact: at least so many."""

    orders: int
    is_exact: bool


def search(
    client: redis.Redis, filters: OrderFilters, *, sort: Sort = "newest", limit: int = 50, after: str | None = None
) -> OrderPage:
    """Return a page of the orders that meet all filters; `after` is the `next` of the page before, same sort.

    A page may be short of `limit` and still have a `next`, when few of very many candidates match. Raises
    ReadUnavailable.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit must be 1 to {LIMIT_MAX}")
    descending = sort in ("newest", "-amount")
    if sort in ("amount", "-amount"):
        return _of_one_generation(lambda: _by_amount(client, filters, limit, after, descending=descending))
    return _of_one_generation(lambda: _by_number(client, filters, limit, after, descending=descending))


def read_orders(client: redis.Redis, order_ids: Sequence[str]) -> tuple[int, Mapping[str, OrderDocument]]:
    """Return the position reflected and those of the orders that are placed by then. Raises ReadUnavailable."""
    if len(order_ids) > LISTED_MAX:
        raise ValueError(f"at most {LISTED_MAX} orders at a time")
    wanted = frozenset(order_ids)

    def read() -> tuple[int, Mapping[str, OrderDocument]]:
        clause = Clause(ids=list(dict.fromkeys(map(order_layout.id_field, wanted))))
        walk = OrderWalk(client, OrderFilters(), descending=True, clauses=[clause])
        documents = walk.documents(walk.numbers or [])
        return walk.position, {each.order.order_id: each for each in documents if each.order.order_id in wanted}

    return _of_one_generation(read)


def count_by_status(
    client: redis.Redis, filters: OrderFilters, *, count_max: int = COUNT_MAX
) -> tuple[int, Mapping[str, Count]]:
    """Return the position reflected and how many orders of each status meet the filters. Raises ReadUnavailable.

    Exact unless more than `count_max` orders can match by a reference's start or by very many customers.
    """
    position, codes, is_exact = _of_one_generation(
        lambda: order_counts.by_counters(client, filters) or _counted(client, filters, count_max)
    )
    wanted = [each for each in STATUSES if filters.statuses is None or each in filters.statuses]
    return position, {each: Count(orders=codes.get(STATUS_CODES[each], 0), is_exact=is_exact) for each in wanted}


def _of_one_generation(read: Callable[[], T]) -> T:
    with reading():
        for _ in range(SWITCHES_MAX):
            try:
                return read()
            except Gone:
                continue
    raise ReadUnavailable(reason="the read model is being replaced")


def _by_number(
    client: redis.Redis, filters: OrderFilters, limit: int, after: str | None, *, descending: bool
) -> OrderPage:
    walk = OrderWalk(client, filters, descending=descending, after=None if after is None else int(after))
    check = check_of(filters)
    numbers = _numbers(walk, descending=descending)
    found: list[OrderDocument] = []
    seen, chunk, all_named = 0, limit + 1, False
    following: str | None = after
    while len(found) <= limit and seen < CANDIDATES_MAX:
        some = list(islice(numbers, chunk))
        found += filter(check, walk.documents(some))
        if len(some) < chunk:
            following = None
            break
        following, seen = str(some[-1]), seen + chunk
        chunk = _next_chunk(limit + 1 - len(found), len(found), seen)
        if walk.is_open and not all_named and len(found) <= limit and len(found) * FEW_SHARE < seen:
            # Once: what has far too many stays open.
            walk.name_all()
            all_named = True
            numbers = _numbers_after(walk, some[-1], descending=descending)
    if len(found) > limit:
        following = str(found[limit - 1].number)
    return OrderPage(orders=found[:limit], next=following, position=walk.position)


def _next_chunk(missing: int, found: int, seen: int) -> int:
    """Return how many documents to look at for so many more matches, when those seen had so many."""
    return max(CHUNK_MIN, min(CHUNK_MAX, missing * 2 * seen // max(1, found)))


def _numbers(walk: OrderWalk, *, descending: bool) -> Iterator[int]:
    if walk.numbers is not None:
        yield from reversed(walk.numbers) if descending else walk.numbers
        return
    for window, _ in walk.windows():
        if window.bits:
            yield from window.numbers(descending=descending)


def _numbers_after(walk: OrderWalk, last: int, *, descending: bool) -> Iterator[int]:
    return dropwhile(lambda each: each >= last if descending else each <= last, _numbers(walk, descending=descending))


def _by_amount(
    client: redis.Redis, filters: OrderFilters, limit: int, after: str | None, *, descending: bool
) -> OrderPage:
    walk = OrderWalk(client, filters, descending=True, amounts=True)
    check = check_of(filters)
    if walk.numbers is not None:
        documents = sorted(filter(check, walk.documents(walk.numbers)), key=_key, reverse=descending)
        beyond = [each for each in documents if after is None or _is_beyond(_key(each), after, descending=descending)]
        return _amount_page(walk, beyond, limit, None)
    if walk.is_open:
        walk.name_all()
    sets = [(each.index, each.all_bits(), each.amounts) for each, _ in walk.windows() if each.bits]
    found: list[OrderDocument] = []
    seen, wanted = 0, limit + 1
    while len(found) <= limit and seen < CANDIDATES_MAX:
        left = sets if after is None else _beyond(sets, after, descending=descending)
        some = sorted(walk.documents(_extreme(left, wanted, descending=descending)), key=_key, reverse=descending)
        found += filter(check, some)
        if len(some) < wanted:
            return _amount_page(walk, found, limit, None)
        after, seen, wanted = _key(some[-1]), seen + wanted, min(CHUNK_MAX, wanted * 2)
    return _amount_page(walk, found, limit, after)


def _amount_page(walk: OrderWalk, found: Sequence[OrderDocument], limit: int, last: str | None) -> OrderPage:
    if len(found) > limit:
        last = _key(found[limit - 1])
    return OrderPage(orders=found[:limit], next=last, position=walk.position)


def _extreme(sets: Sequence[tuple[int, int, order_bits.Amounts]], wanted: int, *, descending: bool) -> list[int]:
    """Return the numbers of so many orders that come first by amount, then number."""
    chosen, tied = order_bits.extreme([(bits, amounts) for _, bits, amounts in sets], wanted, highest=descending)
    indexes = [index for index, _, _ in sets]
    numbers = list(_numbers_of(indexes, chosen, descending=descending))
    return numbers + list(islice(_numbers_of(indexes, tied, descending=descending), wanted - len(numbers)))


def _numbers_of(indexes: Sequence[int], sets: Sequence[int], *, descending: bool) -> Iterator[int]:
    for index, bits in sorted(zip(indexes, sets, strict=True), reverse=descending):
        if bits:
            first = index * order_layout.WINDOW + 1
            yield from (first + place for place in order_bits.places_of(bits, descending=descending))


def _beyond(
    sets: Sequence[tuple[int, int, order_bits.Amounts]], after: str, *, descending: bool
) -> list[tuple[int, int, order_bits.Amounts]]:
    """Return what comes after a sort key."""
    amount_minor, number = order_layout.of_amount_key(after)
    found = []
    for index, bits, amounts in sets:
        less, same = amounts.below(amount_minor, bits)
        before = order_bits.between(0, number - 2 - index * order_layout.WINDOW)
        if descending:
            bits = less | same & before
        else:
            behind = order_bits.between(number - index * order_layout.WINDOW, order_layout.WINDOW)
            bits = bits ^ less ^ same | same & behind
        if bits:
            found.append((index, bits, amounts))
    return found


def _is_beyond(key: str, after: str, *, descending: bool) -> bool:
    return key < after if descending else key > after


def _key(document: OrderDocument) -> str:
    return order_layout.amount_key(document.order.amount_minor, document.number)


def _counted(client: redis.Redis, filters: OrderFilters, count_max: int) -> tuple[int, dict[str, int], bool]:
    walk = OrderWalk(client, filters, descending=True, statuses=True)
    check = check_of(filters)
    if walk.numbers is not None:
        return walk.position, _of_documents(walk, walk.numbers, check), True
    counts: dict[str, int] = {}
    if walk.is_open:
        walk.name_all()
    if walk.is_exact:
        for window, by_name in walk.windows():
            for code in STATUS_CODES.values():
                counts[code] = counts.get(code, 0) + (window.bits & by_name.get(f"s:{code}", 0)).bit_count()
        return walk.position, counts, True
    numbers = list(islice(_numbers(walk, descending=True), count_max + 1))
    return walk.position, _of_documents(walk, numbers[:count_max], check), len(numbers) <= count_max


def _of_documents(walk: OrderWalk, numbers: Sequence[int], check: Callable[[OrderDocument], bool]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in filter(check, walk.documents(numbers)):
        code = STATUS_CODES[each.order.status]
        counts[code] = counts.get(code, 0) + 1
    return counts
