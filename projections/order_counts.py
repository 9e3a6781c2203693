"""Counts of orders by status that the read model keeps: of all orders, of a customer's, of a product's."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from ledger.errors import ReadUnavailable
from projections import keys, order_layout
from projections.generations import run_script
from projections.order_documents import ACCOUNT_PREFIX, shortened
from projections.order_filters import SOURCES_MAX, OrderFilters
from projections.order_walk import Gone
from projections.orders import NAME


def by_counters(client: redis.Redis, filters: OrderFilters) -> tuple[int, dict[str, int], bool] | None:
    """Return position and exact counts by status code; None when the counters do not hold the answer.

    Raises Gone, ReadUnavailable.
    """
    counters = _counters(filters)
    if counters is None:
        return None
    position, *flat = run_script(client, "order_counts", [], [keys.pointer(NAME), keys.data(NAME, "")[:-1], *counters])
    if position == b"":
        if flat == [b"unbuilt"]:
            raise ReadUnavailable(reason="the read model is being built")
        raise Gone
    return int(position), {code.decode(): int(count) for code, count in zip(flat[::2], flat[1::2], strict=True)}, True


def _counters(filters: OrderFilters) -> Sequence[str] | None:
    others = (filters.order_id, filters.reference, filters.reference_prefix, filters.placed_from, filters.placed_to)
    if any(each is not None for each in (*others, filters.amounts)) or filters.words:
        return None
    customers, products = filters.customer_ids, filters.products
    if customers is None and products is None:
        return [order_layout.counts()]
    if (customers is not None and products is not None) or len(customers or products or ()) > SOURCES_MAX:
        return None
    if customers is not None:
        return [order_layout.counts(shortened(each, ACCOUNT_PREFIX)) for each in dict.fromkeys(customers)]
    return [order_layout.counts(product=each) for each in dict.fromkeys(products or ())]
