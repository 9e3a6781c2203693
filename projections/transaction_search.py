"""Search transactions by customer, type, order, reference, time, amount and free text, newest or oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import redis

from projections import keys, transactions, walk
from projections.generations import Generation
from projections.transactions import CUSTOMER, LUA_PLACE, NAME, TYPE, TYPES, Transaction
from projections.walk import (
    LISTED_MAX,
    SOURCES_MAX,
    Condition,
    Walk,
    numbers_of_reference,
    one_of,
    reference_condition,
)

Sort = Literal["newest", "oldest"]
LIMIT_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionText:
    """What a person's words may mean, any of it: the caller has looked names up. Prefixes are of references."""

    order_ids: Sequence[str] = ()
    customer_ids: Sequence[str] = ()
    reference_prefixes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilters:
    """What transactions must be like; None: no matter. Bounds are inclusive; positions are places in the log."""

    customer_ids: Sequence[str] | None = None
    types: Sequence[str] | None = None
    order_id: str | None = None
    reference: str | None = None
    reference_prefix: str | None = None
    position_from: int | None = None
    position_to: int | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    text: TransactionText | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionPage:
    """Transactions in order, where to go on (None: that was all), and the position reflected."""

    transactions: Sequence[Transaction]
    next: str | None
    position: int


def search(
    client: redis.Redis,
    filters: TransactionFilters,
    *,
    sort: Sort = "newest",
    limit: int = 50,
    after: str | None = None,
) -> TransactionPage:
    """Return a page of the transactions that meet all filters; `after` is the `next` of the page before, same sort.

    A page may be short of `limit` and still have a `next`, when few of very many candidates match. Raises
    ReadUnavailable.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit must be 1 to {LIMIT_MAX}")

    def walk_of(live: Generation) -> Walk:
        sources, listed = _sources(live, filters)
        return Walk(
            sources=sources,
            listed=[(str(each), each) for each in listed],
            conditions=_conditions(filters),
            descending=sort == "newest",
            low=filters.position_from,
            high=filters.position_to,
        )

    found = walk.page(client, NAME, walk_of, limit=limit + 1, after=after)
    documents = [transactions.decode(text) for text in found.texts]
    following = found.next
    if len(documents) > limit:
        documents = documents[:limit]
        following = str(documents[-1].position)
    return TransactionPage(transactions=documents, next=following, position=found.position)


def _sources(live: Generation, filters: TransactionFilters) -> tuple[list[str], list[int]]:
    """Return the sets, and the positions looked up one by one, that hold together every one that can match."""
    if filters.order_id is not None:
        return [], _positions_of_orders(live, [filters.order_id])
    for reference, is_whole in ((filters.reference, True), (filters.reference_prefix, False)):
        if reference is not None:
            numbers = numbers_of_reference(live, reference, is_whole=is_whole)
            if len(numbers) <= LISTED_MAX:
                return [], numbers
    if filters.customer_ids is not None and len(filters.customer_ids) <= SOURCES_MAX:
        return [keys.by_time(CUSTOMER, each) for each in dict.fromkeys(filters.customer_ids)], []
    if filters.text is not None:
        text = filters.text
        numbers = _positions_of_orders(live, text.order_ids[: LISTED_MAX + 1])
        for prefix in text.reference_prefixes:
            if len(numbers) <= LISTED_MAX:
                numbers += numbers_of_reference(live, prefix, is_whole=False)
        if len(numbers) <= LISTED_MAX and len(text.customer_ids) <= SOURCES_MAX:
            return [keys.by_time(CUSTOMER, each) for each in dict.fromkeys(text.customer_ids)], numbers
    return [keys.by_time(TYPE, each) for each in TYPES if filters.types is None or each in filters.types], []


def _positions_of_orders(live: Generation, order_ids: Sequence[str]) -> list[int]:
    texts = live.fields([(keys.id_bucket(each), each) for each in order_ids])
    return [int(number) for text in texts if text is not None for number in text.split(",")]


def _conditions(filters: TransactionFilters) -> list[Condition]:
    conditions: list[Condition] = [
        ["range", LUA_PLACE["position"], filters.position_from, filters.position_to],
        ["range", LUA_PLACE["amount_minor"], filters.amount_min_minor, filters.amount_max_minor],
    ]
    if filters.customer_ids is not None:
        conditions.append(one_of(LUA_PLACE["account_id"], filters.customer_ids))
    if filters.types is not None:
        conditions.append(one_of(LUA_PLACE["type"], filters.types))
    if filters.order_id is not None:
        conditions.append(one_of(LUA_PLACE["order_id"], [filters.order_id]))
    if filters.reference is not None:
        conditions.append(reference_condition("equal", LUA_PLACE, filters.reference))
    if filters.reference_prefix is not None:
        conditions.append(reference_condition("prefix", LUA_PLACE, filters.reference_prefix))
    if filters.text is not None:
        alternatives = [
            one_of(LUA_PLACE["order_id"], filters.text.order_ids),
            one_of(LUA_PLACE["account_id"], filters.text.customer_ids),
            *(reference_condition("prefix", LUA_PLACE, each) for each in filters.text.reference_prefixes),
        ]
        conditions.append(["any", alternatives])
    return conditions
