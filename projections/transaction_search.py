"""Search transactions by customer, type, order, reference, time, amount and free text, newest or oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis

from projections import transaction_layout, walk
from projections.order_documents import ACCOUNT_PREFIX, ORDER_PREFIX, folded, shortened
from projections.transaction_documents import TYPE_CODES, Transaction
from projections.transactions import NAME

Sort = Literal["newest", "oldest"]
LIMIT_MAX = 500
LISTED_MAX = 1_000
"""Orders looked up one by one at most."""
SOURCES_MAX = 300
"""Lists of customers merged at most; more are looked up document by document."""


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

    request = _request(filters, descending=sort == "newest")
    if after is not None:
        walk.go_on_after(request, int(after))
    found = walk.page(client, NAME, request, limit=limit + 1)
    documents, following = found.transactions, found.next
    if len(documents) > limit:
        documents = documents[:limit]
        following = documents[-1].position
    return TransactionPage(
        transactions=documents, next=None if following is None else str(following), position=found.position
    )


def _request(filters: TransactionFilters, *, descending: bool) -> dict[str, Any]:
    request: dict[str, Any] = {
        "descending": descending,
        "filter": _compared(filters),
        "sources": [each for each in _sources(filters) if each is not None],
    }
    if filters.position_from is not None:
        request["position_from"] = filters.position_from
    if filters.position_to is not None:
        request["position_to"] = filters.position_to
    return request


def _sources(filters: TransactionFilters) -> Iterator[dict[str, Any] | None]:
    """Yield the sources of which each holds every transaction that can match."""
    if filters.order_id is not None:
        yield _source(order_ids=[filters.order_id])
    if filters.reference is not None:
        # The number that follows the zero byte is hexadecimal, and "g" comes after any.
        start = folded(filters.reference) + "\0"
        yield _source(ranges=[[start, start + "g"]])
    if filters.reference_prefix is not None:
        yield _source(ranges=[[folded(filters.reference_prefix)]])
    if filters.customer_ids is not None:
        yield _source(customer_ids=filters.customer_ids)
    if filters.types is not None:
        codes = dict.fromkeys(TYPE_CODES[each] for each in filters.types if each in TYPE_CODES)
        yield {"ids": [], "parts": [transaction_layout.of_type(each) for each in codes], "ranges": []}
    if filters.text is not None:
        ranges = [[folded(each)] for each in filters.text.reference_prefixes]
        yield _source(order_ids=filters.text.order_ids, customer_ids=filters.text.customer_ids, ranges=ranges)


def _source(
    *, order_ids: Sequence[str] = (), customer_ids: Sequence[str] = (), ranges: Sequence[list[str]] = ()
) -> dict[str, Any] | None:
    if len(order_ids) > LISTED_MAX or len(customer_ids) > SOURCES_MAX:
        return None
    accounts = dict.fromkeys(shortened(each, ACCOUNT_PREFIX) for each in customer_ids)
    return {
        "ids": [transaction_layout.id_field(each) for each in dict.fromkeys(order_ids)],
        "parts": [transaction_layout.of_account(each) for each in accounts],
        "ranges": ranges,
    }


def _compared(filters: TransactionFilters) -> dict[str, Any]:
    """Return what documents are compared with; time is compared by number."""
    found: dict[str, Any] = {"amount_min": filters.amount_min_minor, "amount_max": filters.amount_max_minor}
    if filters.customer_ids is not None:
        found["accounts"] = _any_of(filters.customer_ids, ACCOUNT_PREFIX)
    if filters.types is not None:
        found["types"] = {TYPE_CODES[each]: True for each in filters.types if each in TYPE_CODES}
    if filters.order_id is not None:
        found["order"] = shortened(filters.order_id, ORDER_PREFIX)
    if filters.reference is not None:
        found["reference"] = folded(filters.reference)
    if filters.reference_prefix is not None:
        found["prefixes"] = [folded(filters.reference_prefix)]
    if filters.text is not None:
        found["text"] = {
            "orders": _any_of(filters.text.order_ids, ORDER_PREFIX),
            "accounts": _any_of(filters.text.customer_ids, ACCOUNT_PREFIX),
            "prefixes": [folded(each) for each in filters.text.reference_prefixes],
        }
    return {name: value for name, value in found.items() if value is not None}


def _any_of(identifiers: Sequence[str], prefix: str) -> dict[str, bool]:
    return dict.fromkeys((shortened(each, prefix) for each in identifiers), True)
