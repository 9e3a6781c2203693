"""Candidates: the orders that want a step, read together with all that the step needs.

What is read here can be out of date by the time it is used: a claim is taken only as it was seen, the log refuses
attempts that are no longer the order's, and a cancellation request that comes later is looked for after the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from ledger import log, state
from ledger.events import OrderStarted
from ledger.orders import EXECUTING, PLACED, Order
from ledger.schema import claims, orders
from workers.cancellations import CancellationRequest, requests_by_order
from workers.starts import address_in

NO_RUNNER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An order that is due, with its claim as it was seen: `runner` is None when there is no row yet.

    `details` is the text that came with the order, None when it is not the one that it was placed with.
    `correlation_id` is the request that placed the order. `first_started_at_us` is None before the first attempt;
    `first_address` is that attempt's, None when its start does not say it, and `address` where the product leads to now.
    """

    order: Order
    runner: str | None = None
    attempt: int = 0
    lease_until_us: int = 0
    calls: int = 0
    last_code: str | None = None
    correlation_id: str = ""
    first_started_at_us: int | None = None
    first_address: str | None = None
    address: str | None = None
    details: Mapping[str, Any] | None = field(default_factory=dict)
    requests: tuple[CancellationRequest, ...] = ()

    @property
    def goes_on(self) -> bool:
        """May the next runner go on with the order's current attempt?"""
        return self.runner == NO_RUNNER and self.order.status == EXECUTING and self.attempt == self.order.attempt

    @property
    def has_moved(self) -> bool:
        """Does the product lead to another address than the order was first given to?"""
        return self.first_address not in (None, self.address)

    @property
    def next_attempt(self) -> int:
        """The attempt that the next runner records under."""
        return self.order.attempt if self.goes_on else self.order.attempt + 1


def due(engine: sa.Engine, now_us: int, limit: int) -> list[Candidate]:
    """Return up to `limit` orders that want a step: half of them newly placed ones, when there are so many."""
    with engine.connect() as connection:
        taken = _taken(connection, now_us, limit)
        new = [Candidate(order=order) for order in state.orders_found(connection, _placed(limit))]
        share = max(limit - len(new), (limit + 1) // 2)
        return _complete(connection, taken[:share] + new[: limit - min(len(taken), share)])


def unclaimed(status: str, *columns: sa.Column[int]) -> sa.Select[Any]:
    """Return the query for the orders in a status to which there is no claim."""
    return sa.select(orders.c.order_id, *columns).where(orders.c.status == status, ~_claimed())


def _placed(limit: int) -> sa.Select[Any]:
    return (
        sa.select(orders).where(orders.c.status == PLACED, ~_claimed()).order_by(orders.c.placed_position).limit(limit)
    )


def _claimed() -> sa.Exists:
    return sa.exists().where(claims.c.order_id == orders.c.order_id)


def _taken(connection: sa.Connection, now_us: int, limit: int) -> list[Candidate]:
    query = (
        sa.select(claims)
        .where(claims.c.due_at_us <= now_us, claims.c.lease_until_us <= now_us)
        .order_by(claims.c.due_at_us)
        .limit(limit)
    )
    rows = connection.execute(query).mappings().all()
    known = state.orders_by_id(connection, [row["order_id"] for row in rows]) if rows else {}
    return [
        Candidate(
            order=known[row["order_id"]],
            runner=row["runner"],
            attempt=row["attempt"],
            lease_until_us=row["lease_until_us"],
            calls=row["calls"],
            last_code=row["last_code"],
        )
        for row in rows
        if row["order_id"] in known
    ]


def _complete(connection: sa.Connection, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Add what the executor is told; what is known only of orders that were started is not looked for in others."""
    if not candidates:
        return []
    placed = [each.order.placed_position for each in candidates]
    details, correlations = log.committed_details_at(connection, placed), log.correlations_at(connection, placed)
    started = [each.order.order_id for each in candidates if each.order.attempt > 0]
    first_starts = log.first_events(connection, started, type=OrderStarted.TYPE) if started else {}
    requests = requests_by_order(connection, started) if started else {}
    return [
        replace(
            each,
            correlation_id=correlations.get(each.order.placed_position, each.order.order_id),
            first_started_at_us=first_us,
            first_address=None if first_key is None else address_in(first_key),
            details=details.get(each.order.placed_position),
            requests=tuple(requests.get(each.order.order_id, ())),
        )
        for each in candidates
        for first_us, first_key in [first_starts.get(each.order.order_id, (None, None))]
    ]
