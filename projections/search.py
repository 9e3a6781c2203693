"""Search orders: by customer, product, status, time, amount, reference and free text, in four orders, page by page.

The sets that decide most are walked; what they leave open is checked on the documents. Pages go on after a sort key,
so their depth costs nothing and an order that changes meanwhile moves no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import redis

from ledger.errors import ReadUnavailable
from ledger.orders import STATUSES
from projections import keys, order_documents, walk
from projections.generations import Generation, checkpoint_of
from projections.order_documents import LUA_PLACE, OrderDocument
from projections.orders import CUSTOMER, NAME, PRODUCT, STATUS
from projections.redis_clients import reading
from projections.walk import (
    LISTED_MAX,
    SOURCES_MAX,
    Condition,
    Walk,
    amount_member,
    numbers_of_reference,
    one_of,
    reference_condition,
)

Sort = Literal["newest", "oldest", "amount", "-amount"]
LIMIT_MAX = 500
COUNT_MAX = 10_000
"""Candidates looked at for one count, where the sets do not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeText:
    """What a person's words may mean, any of it: the caller has looked names up. Prefixes are of references."""

    order_ids: Sequence[str] = ()
    customer_ids: Sequence[str] = ()
    products: Sequence[str] = ()
    reference_prefixes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilters:
    """What orders must be like; None: no matter. Bounds are inclusive; `placed_…` are positions in the log."""

    order_id: str | None = None
    reference: str | None = None
    reference_prefix: str | None = None
    customer_ids: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    products: Sequence[str] | None = None
    placed_from: int | None = None
    placed_to: int | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    text: FreeText | None = None


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
    by_amount = sort in ("amount", "-amount")

    def walk_of(live: Generation) -> Walk:
        return _walk(live, filters, by_amount=by_amount, descending=sort in ("newest", "-amount"))

    found = walk.page(client, NAME, walk_of, limit=limit + 1, after=after)
    documents = [order_documents.decode(text) for text in found.texts]
    following = found.next
    if len(documents) > limit:
        documents = documents[:limit]
        following = _sort_key(documents[-1], by_amount=by_amount)
    return OrderPage(orders=documents, next=following, position=found.position)


def read_orders(client: redis.Redis, order_ids: Sequence[str]) -> tuple[int, Mapping[str, OrderDocument]]:
    """Return the position reflected and those of the orders that are placed by then. Raises ReadUnavailable."""
    if len(order_ids) > LISTED_MAX:
        raise ValueError(f"at most {LISTED_MAX} orders at a time")
    with reading():
        live = walk.live_or_unavailable(client, NAME)
        checkpoint = live.checkpoint()
        if checkpoint is None:
            raise ReadUnavailable(reason="the read model is being replaced")
        found = {each.order.order_id: each for each in _documents(live, _numbers_of_ids(live, order_ids))}
    return checkpoint.position, found


def count_by_status(
    client: redis.Redis, filters: OrderFilters, *, count_max: int = COUNT_MAX
) -> tuple[int, Mapping[str, Count]]:
    """Return the position reflected and how many orders of each status meet the filters. Raises ReadUnavailable.

    Exact for filters by customer or product with a range of time or of amount; otherwise exact where at most
    `count_max` candidates have to be looked at.
    """
    statuses = _statuses(filters)
    with reading():
        live = walk.live_or_unavailable(client, NAME)
        if _sets_decide(filters, statuses):
            return _sizes(live, filters, statuses)
        counts, position = {}, 0
        for status in statuses:
            one = _walk(live, replace(filters, statuses=[status]), by_amount=False, descending=True)
            found = walk.run(live, one, want=1 << 52, after=None, counting=True, candidates_max=count_max)
            if found is None:
                raise ReadUnavailable(reason="the read model is being replaced")
            counts[status] = Count(orders=found.matched, is_exact=found.next is None)
            position = position or found.position
    return position, counts


def _walk(live: Generation, filters: OrderFilters, *, by_amount: bool, descending: bool) -> Walk:
    sources, listed = _sources(live, filters, by_amount=by_amount)
    return Walk(
        sources=sources,
        listed=[(_sort_key(each, by_amount=by_amount), each.number) for each in listed],
        conditions=_conditions(filters),
        by_amount=by_amount,
        descending=descending,
        low=filters.amount_min_minor if by_amount else filters.placed_from,
        high=filters.amount_max_minor if by_amount else filters.placed_to,
    )


def _sources(live: Generation, filters: OrderFilters, *, by_amount: bool) -> tuple[list[str], list[OrderDocument]]:
    """Return the sets, and the orders looked up one by one, that hold together every order that can match."""
    statuses = _statuses(filters)
    key: Callable[..., str] = keys.by_amount if by_amount else keys.by_time
    if filters.order_id is not None:
        return [], _documents(live, _numbers_of_ids(live, [filters.order_id]))
    for reference, is_whole in ((filters.reference, True), (filters.reference_prefix, False)):
        if reference is not None:
            numbers = numbers_of_reference(live, reference, is_whole=is_whole)
            if len(numbers) <= LISTED_MAX:
                return [], _documents(live, numbers)
    for kind, names in ((CUSTOMER, filters.customer_ids), (PRODUCT, filters.products)):
        if names is not None and len(set(names)) * len(statuses) <= SOURCES_MAX:
            return [key(kind, name, status) for name in dict.fromkeys(names) for status in statuses], []
    if filters.text is not None:
        text = filters.text
        numbers = _numbers_of_ids(live, text.order_ids[: LISTED_MAX + 1])
        for prefix in text.reference_prefixes:
            if len(numbers) <= LISTED_MAX:
                numbers += numbers_of_reference(live, prefix, is_whole=False)
        names_of_text = [(CUSTOMER, name) for name in dict.fromkeys(text.customer_ids)]
        names_of_text += [(PRODUCT, name) for name in dict.fromkeys(text.products)]
        if len(numbers) <= LISTED_MAX and len(names_of_text) * len(statuses) <= SOURCES_MAX:
            sources = [key(kind, name, status) for kind, name in names_of_text for status in statuses]
            return sources, _documents(live, numbers)
    return [key(STATUS, status) for status in statuses], []


def _statuses(filters: OrderFilters) -> list[str]:
    return [each for each in STATUSES if filters.statuses is None or each in filters.statuses]


def _sort_key(document: OrderDocument, *, by_amount: bool) -> str:
    if by_amount:
        return amount_member(document.order.amount_minor, document.number)
    return str(document.order.placed_position)


def _conditions(filters: OrderFilters) -> list[Condition]:
    """Return all filters as conditions on a document; those that a chosen set fulfils anyway cost little."""
    conditions: list[Condition] = []
    if filters.order_id is not None:
        conditions.append(one_of(LUA_PLACE["order_id"], [filters.order_id]))
    if filters.reference is not None:
        conditions.append(reference_condition("equal", LUA_PLACE, filters.reference))
    if filters.reference_prefix is not None:
        conditions.append(reference_condition("prefix", LUA_PLACE, filters.reference_prefix))
    if filters.customer_ids is not None:
        conditions.append(one_of(LUA_PLACE["account_id"], filters.customer_ids))
    if filters.statuses is not None:
        conditions.append(one_of(LUA_PLACE["status"], filters.statuses))
    if filters.products is not None:
        conditions.append(one_of(LUA_PLACE["product"], filters.products))
    conditions.append(["range", LUA_PLACE["placed_position"], filters.placed_from, filters.placed_to])
    conditions.append(["range", LUA_PLACE["amount_minor"], filters.amount_min_minor, filters.amount_max_minor])
    if filters.text is not None:
        text = filters.text
        alternatives = [
            one_of(LUA_PLACE["order_id"], text.order_ids),
            one_of(LUA_PLACE["account_id"], text.customer_ids),
            one_of(LUA_PLACE["product"], text.products),
            *(reference_condition("prefix", LUA_PLACE, each) for each in text.reference_prefixes),
        ]
        conditions.append(["any", alternatives])
    return conditions


def _numbers_of_ids(live: Generation, order_ids: Sequence[str]) -> list[int]:
    return [int(each) for each in live.fields([(keys.id_bucket(one), one) for one in order_ids]) if each is not None]


def _documents(live: Generation, numbers: Sequence[int]) -> list[OrderDocument]:
    unique = list(dict.fromkeys(numbers))
    texts = live.fields([(keys.document_bucket(each), str(each)) for each in unique])
    return [order_documents.decode(each) for each in texts if each is not None]


def _sets_decide(filters: OrderFilters, statuses: Sequence[str]) -> bool:
    if (filters.order_id, filters.reference, filters.reference_prefix, filters.text) != (None, None, None, None):
        return False
    by_place = filters.placed_from is not None or filters.placed_to is not None
    by_amount = filters.amount_min_minor is not None or filters.amount_max_minor is not None
    names = filters.customer_ids if filters.products is None else filters.products
    both = filters.customer_ids is not None and filters.products is not None
    return not both and not (by_place and by_amount) and len(names or ()) * len(statuses) <= SOURCES_MAX


def _sizes(live: Generation, filters: OrderFilters, statuses: Sequence[str]) -> tuple[int, Mapping[str, Count]]:
    by_amount = filters.amount_min_minor is not None or filters.amount_max_minor is not None
    key = keys.by_amount if by_amount else keys.by_time
    bounds = walk.bounds_of(
        Walk(
            sources=[],
            by_amount=by_amount,
            low=filters.amount_min_minor if by_amount else filters.placed_from,
            high=filters.amount_max_minor if by_amount else filters.placed_to,
        )
    )
    pipeline = live.client.pipeline(transaction=True)
    pipeline.hmget(keys.checkpoint(NAME, live.generation), ["position", "leaf", "at_us"])
    for status in statuses:
        for parts in _parts(filters, status):
            (pipeline.zlexcount if by_amount else pipeline.zcount)(live.prefix + key(*parts), *bounds)
    answers = pipeline.execute()
    checkpoint = checkpoint_of(answers[0])
    if checkpoint is None:
        raise ReadUnavailable(reason="the read model is being replaced")
    sizes, counts = iter(answers[1:]), {}
    for status in statuses:
        counts[status] = Count(orders=sum(next(sizes) for _ in _parts(filters, status)), is_exact=True)
    return checkpoint.position, counts


def _parts(filters: OrderFilters, status: str) -> list[tuple[str, ...]]:
    if filters.customer_ids is not None:
        return [(CUSTOMER, each, status) for each in dict.fromkeys(filters.customer_ids)]
    if filters.products is not None:
        return [(PRODUCT, each, status) for each in dict.fromkeys(filters.products)]
    return [(STATUS, status)]
