"""Customers' requests to cancel executing orders: kept in a table by whoever takes the request, answered by the
agent.

The answer is the outcome of CancelOrder under the requester's own actor and idempotency key: accepted when the
executor confirmed, refused otherwise. The row goes once the outcome is stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger.commands import CancelOrder
from ledger.orders import EXECUTING
from ledger.schema import cancellation_requests as table
from ledger.schema import orders, outcomes
from ledger.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationRequest:
    """Who asked to cancel which order, and under which key the outcome is expected."""

    key_digest: bytes
    order_id: str
    actor: str
    idempotency_key: str
    correlation_id: str
    details: Mapping[str, Any] | None

    def submission(self, *, confirmed_attempt: int | None = None, delivered: int = 0) -> Submission:
        """Return the command, with what the executor confirmed if it did."""
        return Submission(
            command=CancelOrder(order_id=self.order_id, confirmed_attempt=confirmed_attempt, delivered=delivered),
            actor=self.actor,
            idempotency_key=self.idempotency_key,
            correlation_id=self.correlation_id,
            details=self.details,
        )


def requests_by_order(connection: sa.Connection, order_ids: Sequence[str]) -> dict[str, list[CancellationRequest]]:
    """Return the requests for these orders that have no outcome yet, the oldest first."""
    found: dict[str, list[CancellationRequest]] = {}
    query = sa.select(table).where(table.c.order_id.in_(order_ids), ~_answered()).order_by(table.c.requested_at_us)
    for row in connection.execute(query).mappings():
        found.setdefault(row["order_id"], []).append(_request(row))
    return found


def plain_requests(engine: sa.Engine, limit: int) -> list[CancellationRequest]:
    """Return the oldest requests that need no executor: the order is not executing, or the outcome is stored already.

    Whoever stored an outcome may not have come to forgetting its request; asking the log again gives the same outcome.
    """
    query = _with_orders(sa.select(table)).where(sa.or_(orders.c.status.is_distinct_from(EXECUTING), _answered()))
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(table.c.requested_at_us).limit(limit)).mappings().all()
    return [_request(row) for row in rows]


def executing_requests(engine: sa.Engine, limit: int) -> dict[bytes, str]:
    """Return the order of each of the oldest requests that only an executor can answer, by the request's digest."""
    query = _with_orders(sa.select(table.c.key_digest, table.c.order_id)).where(
        orders.c.status == EXECUTING, ~_answered()
    )
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(table.c.requested_at_us).limit(limit)).all()
    return {bytes(row.key_digest): row.order_id for row in rows}


def forget(engine: sa.Engine, key_digests: Sequence[bytes]) -> None:
    """Remove requests whose outcome is stored."""
    with engine.execution_options(write=True).begin() as connection:
        connection.execute(sa.delete(table).where(table.c.key_digest.in_(key_digests)))


def _with_orders(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.select_from(table.join(orders, orders.c.order_id == table.c.order_id, isouter=True))


def _answered() -> sa.Exists:
    return sa.exists().where(outcomes.c.key_digest == table.c.key_digest)


def _request(row: Mapping[Any, Any]) -> CancellationRequest:
    return CancellationRequest(
        key_digest=bytes(row["key_digest"]),
        order_id=row["order_id"],
        actor=row["actor"],
        idempotency_key=bytes(row["idempotency_key"]).decode("utf-8"),
        correlation_id=row["correlation_id"],
        details=None if row["details"] is None else json.loads(row["details"]),
    )
