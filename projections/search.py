"""Search orders: by customer, product, status, time, amount, reference and free text, in four orders, page by page.

Every part of the filter that leads to orders is an option; the script walks the smallest and checks the rest on the
documents. Pages go on after a sort key, so their depth costs nothing and an order that changes meanwhile moves no
other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis

from ledger.errors import ReadUnavailable
from ledger.money import AMOUNT_MINOR_MAX
from ledger.orders import STATUSES
from projections import keys, order_layout, order_walk
from projections.generations import Generation, checkpoint_of
from projections.order_documents import ACCOUNT_PREFIX, ORDER_PREFIX, STATUS_CODES, OrderDocument, folded, shortened
from projections.order_walk import Found
from projections.orders import NAME
from projections.redis_clients import reading
from projections.walk import live_or_unavailable

Sort = Literal["newest", "oldest", "amount", "-amount"]
LIMIT_MAX = 500
LISTED_MAX = 1_000
SOURCES_MAX = 256
"""Lists of customers and products merged at most; more are looked up document by document."""
SWITCHES_MAX = 5
COUNT_MAX = 10_000
"""Orders counted one by one at most, where the counters do not know."""


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
    by_amount, descending = sort in ("amount", "-amount"), sort in ("newest", "-amount")
    request = _request(filters, by_amount=by_amount, descending=descending)
    found = _walk(client, request, want=limit + 1, after=after)
    documents = found.documents
    if found.is_gathered:
        documents = sorted(documents, key=_amount_key, reverse=descending)
        if after is not None:
            documents = [
                each for each in documents if (_amount_key(each) < after if descending else _amount_key(each) > after)
            ]
    following = found.next
    if len(documents) > limit:
        documents = documents[:limit]
        following = _amount_key(documents[-1]) if by_amount else str(documents[-1].number)
    return OrderPage(orders=documents, next=following, position=found.position)


def read_orders(client: redis.Redis, order_ids: Sequence[str]) -> tuple[int, Mapping[str, OrderDocument]]:
    """Return the position reflected and those of the orders that are placed by then. Raises ReadUnavailable."""
    if len(order_ids) > LISTED_MAX:
        raise ValueError(f"at most {LISTED_MAX} orders at a time")
    request = _request(OrderFilters(), by_amount=False, descending=True)
    request["options"] = [_merge([], ids=order_ids)]
    found = _walk(client, request, want=len(order_ids) + 1, after=None)
    return found.position, {each.order.order_id: each for each in found.documents}


def count_by_status(
    client: redis.Redis, filters: OrderFilters, *, count_max: int = COUNT_MAX
) -> tuple[int, Mapping[str, Count]]:
    """Return the position reflected and how many orders of each status meet the filters. Raises ReadUnavailable.

    Exact for filters by customer or product alone; otherwise exact where at most `count_max` orders match.
    """
    wanted = [each for each in STATUSES if filters.statuses is None or each in filters.statuses]
    parts = _counters(filters)
    with reading():
        if parts is not None:
            position, codes = _counted(live_or_unavailable(client, NAME), parts)
            is_exact = True
        else:
            request = _request(filters, by_amount=False, descending=True) | {"counting": True}
            found = _walk(client, request, want=count_max, after=None)
            position, codes, is_exact = found.position, found.counts, found.next is None
    return position, {each: Count(orders=codes.get(STATUS_CODES[each], 0), is_exact=is_exact) for each in wanted}


def _walk(client: redis.Redis, request: dict[str, Any], *, want: int, after: str | None) -> Found:
    with reading():
        for _ in range(SWITCHES_MAX):
            found = order_walk.run(live_or_unavailable(client, NAME), request, want=want, after=after)
            if found is not None and found.is_gathered and found.next is not None:
                # More than expected was there to gather, as orders were placed meanwhile.
                found = order_walk.run(live_or_unavailable(client, NAME), request, want=want, after=after)
            if found is not None:
                return found
    raise ReadUnavailable(reason="the read model is being replaced")


def _request(filters: OrderFilters, *, by_amount: bool, descending: bool) -> dict[str, Any]:
    compared = _compared(filters)
    request: dict[str, Any] = {
        "descending": descending,
        "counting": False,
        "filter": compared,
        "filtered": len(compared) > 0,
        "options": _options(filters),
    }
    if filters.statuses is not None:
        request["statuses"] = [STATUS_CODES[each] for each in dict.fromkeys(filters.statuses)]
    if filters.placed_from is not None:
        request["placed_from"] = filters.placed_from
    if filters.placed_to is not None:
        request["placed_to"] = filters.placed_to
    if by_amount:
        request["amounts"] = _amount_bounds(filters)
    return request


def _options(filters: OrderFilters) -> list[dict[str, Any]]:
    """Return the sources of which each holds every order that can match."""
    found: list[dict[str, Any]] = [{"kind": "numbers"}]
    if filters.statuses is not None:
        found.append({"kind": "statuses", "codes": [STATUS_CODES[each] for each in dict.fromkeys(filters.statuses)]})
    if filters.order_id is not None:
        found.append(_merge([], ids=[filters.order_id]))
    if filters.reference is not None:
        # The number that follows the zero byte is hexadecimal, and "g" comes after any.
        start = folded(filters.reference) + "\0"
        found.append(_merge([], ranges=[[order_layout.REFERENCES, start, start + "g"]]))
    if filters.reference_prefix is not None:
        found.append(_merge([], ranges=[[order_layout.REFERENCES, folded(filters.reference_prefix)]]))
    if filters.amount_min_minor is not None or filters.amount_max_minor is not None:
        found.append(_merge([], ranges=[[order_layout.AMOUNTS, *_amount_bounds(filters)]]))
    named = (_parts(filters.customer_ids, ()), _parts((), filters.products))
    found += [_merge(parts) for parts in named if parts is not None]
    if filters.text is not None:
        text = filters.text
        parts = _parts(text.customer_ids, text.products)
        if parts is not None and len(text.order_ids) <= LISTED_MAX:
            ranges = [[order_layout.REFERENCES, folded(each)] for each in text.reference_prefixes]
            found.append(_merge(parts, ids=text.order_ids, ranges=ranges))
    return found


def _parts(customer_ids: Sequence[str] | None, products: Sequence[str] | None) -> list[str] | None:
    if customer_ids is None or products is None or len(customer_ids) + len(products) > SOURCES_MAX:
        return None
    accounts = dict.fromkeys(shortened(each, ACCOUNT_PREFIX) for each in customer_ids)
    return [order_layout.of_account(each) for each in accounts] + [
        order_layout.of_product(each) for each in dict.fromkeys(products)
    ]


def _merge(parts: Sequence[str], *, ids: Sequence[str] = (), ranges: Sequence[Sequence[str]] = ()) -> dict[str, Any]:
    named = [[*order_layout.id_field(each), shortened(each, ORDER_PREFIX)] for each in dict.fromkeys(ids)]
    return {"kind": "merge", "parts": list(parts), "ids": named, "ranges": list(ranges)}


def _compared(filters: OrderFilters) -> dict[str, Any]:
    """Return what documents are compared with; status and time are compared by number."""
    found: dict[str, Any] = {}
    if filters.customer_ids is not None:
        found["accounts"] = _any_of(filters.customer_ids, ACCOUNT_PREFIX)
    if filters.products is not None:
        found["products"] = dict.fromkeys(filters.products, True)
    if filters.amount_min_minor is not None:
        found["amount_min"] = filters.amount_min_minor
    if filters.amount_max_minor is not None:
        found["amount_max"] = filters.amount_max_minor
    if filters.order_id is not None:
        found["order"] = shortened(filters.order_id, ORDER_PREFIX)
    if filters.reference is not None:
        found["reference"] = folded(filters.reference)
    if filters.reference_prefix is not None:
        found["reference_prefix"] = folded(filters.reference_prefix)
    if filters.text is not None:
        found["text"] = {
            "orders": _any_of(filters.text.order_ids, ORDER_PREFIX),
            "accounts": _any_of(filters.text.customer_ids, ACCOUNT_PREFIX),
            "products": dict.fromkeys(filters.text.products, True),
            "references": [folded(each) for each in filters.text.reference_prefixes],
        }
    return found


def _any_of(identifiers: Sequence[str], prefix: str) -> dict[str, bool]:
    return dict.fromkeys((shortened(each, prefix) for each in identifiers), True)


def _amount_bounds(filters: OrderFilters) -> list[str]:
    lowest, highest = filters.amount_min_minor or 0, filters.amount_max_minor
    above = AMOUNT_MINOR_MAX + 1 if highest is None else max(0, min(highest, AMOUNT_MINOR_MAX) + 1)
    return [
        order_layout.amount_member(max(0, min(lowest, AMOUNT_MINOR_MAX + 1)), 0),
        order_layout.amount_member(above, 0),
    ]


def _amount_key(document: OrderDocument) -> str:
    return order_layout.amount_member(document.order.amount_minor, document.number)


def _counters(filters: OrderFilters) -> list[str] | None:
    """Return the counters that together hold the answer, None when they do not."""
    others = (filters.order_id, filters.reference, filters.reference_prefix, filters.text, filters.placed_from)
    bounds = (filters.placed_to, filters.amount_min_minor, filters.amount_max_minor)
    if any(each is not None for each in (*others, *bounds)):
        return None
    customers, products = filters.customer_ids, filters.products
    if customers is None and products is None:
        return [order_layout.counts()]
    if (customers is not None and products is not None) or len(customers or products or ()) > SOURCES_MAX:
        return None
    if customers is not None:
        return [order_layout.counts(shortened(each, ACCOUNT_PREFIX)) for each in dict.fromkeys(customers)]
    return [order_layout.counts(product=each) for each in dict.fromkeys(products or ())]


def _counted(live: Generation, parts: Sequence[str]) -> tuple[int, dict[str, int]]:
    pipeline = live.client.pipeline(transaction=True)
    pipeline.hmget(keys.checkpoint(NAME, live.generation), ["position", "leaf", "at_us"])
    for part in parts:
        pipeline.hgetall(live.prefix + part)
    values, *counters = pipeline.execute()
    checkpoint = checkpoint_of(values)
    if checkpoint is None:
        raise ReadUnavailable(reason="the read model is being replaced")
    codes: dict[str, int] = {}
    for counter in counters:
        for code, count in counter.items():
            codes[code.decode()] = codes.get(code.decode(), 0) + int(count)
    return checkpoint.position, codes
