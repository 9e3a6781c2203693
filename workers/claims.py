"""Claims: an agent's exclusive, expiring right to take one order's next step.

A row of `claims` goes with every order that has been taken and has not ended. It is *leased* (a runner's name and a
lease in the future), *released* (no runner, due at a time) or *expired* (a runner that did not come back). Whoever
takes a released claim goes on with the same attempt, because its last runner has nothing left to record; whoever
takes an expired one must start a new attempt, which makes the lost runner stale. While a claim is leased it is due
when the lease ends, so that one index finds all there is to do. The log stays the judge: two runners that both
believe in a claim are told apart by the attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger import state
from ledger.orders import EXECUTING, NEEDS_REVIEW, PLACED, TERMINAL, Order
from ledger.schema import cancellation_requests, orders
from ledger.schema import claims as table

NO_RUNNER = ""
ENDED = (*sorted(TERMINAL), NEEDS_REVIEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An order that is due, with its claim as it was seen: `runner` is None when there is no row yet."""

    order: Order
    runner: str | None = None
    attempt: int = 0
    lease_until_us: int = 0
    calls: int = 0
    last_code: str | None = None

    @property
    def goes_on(self) -> bool:
        """May the next runner go on with the order's current attempt?"""
        return self.runner == NO_RUNNER and self.order.status == EXECUTING and self.attempt == self.order.attempt

    @property
    def next_attempt(self) -> int:
        """The attempt that the next runner records under."""
        return self.order.attempt if self.goes_on else self.order.attempt + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A claim given back with the order's next step due at a time; `calls` counts answers of the same kind in a row."""

    order_id: str
    due_at_us: int
    calls: int
    last_code: str | None


class Claims:
    """The claims of one runner. `runner` is a name that no other process has had."""

    def __init__(self, engine: sa.Engine, runner: str) -> None:
        self._engine = engine
        self._writing = engine.execution_options(write=True)
        self._runner = runner

    def due(self, now_us: int, limit: int) -> list[Candidate]:
        """Return up to `limit` orders that want a step: half of them newly placed ones, when there are so many."""
        with self._engine.connect() as connection:
            rows = (
                connection.execute(
                    sa.select(table)
                    .where(table.c.due_at_us <= now_us, table.c.lease_until_us <= now_us)
                    .order_by(table.c.due_at_us)
                    .limit(limit)
                )
                .mappings()
                .all()
            )
            placed = (
                connection.execute(_unclaimed(PLACED).order_by(orders.c.placed_position).limit(limit)).scalars().all()
            )
            known = state.orders_by_id(connection, [row["order_id"] for row in rows] + list(placed))
        taken = [
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
        new = [Candidate(order=known[order_id]) for order_id in placed]
        share = max(limit - len(new), (limit + 1) // 2)
        return taken[:share] + new[: limit - min(len(taken), share)]

    def take(self, candidates: Sequence[Candidate], *, lease_until_us: int) -> list[Candidate]:
        """Lease the candidates' claims; return those that were still as seen, which are now ours."""
        new = [each for each in candidates if each.runner is None]
        ours = []
        with self._writing.begin() as connection:
            if new:
                connection.execute(
                    sa.insert(table)
                    .prefix_with("OR IGNORE", dialect="sqlite")
                    .prefix_with("IGNORE", dialect="mysql")
                    .prefix_with("IGNORE", dialect="mariadb"),
                    [self._row(each, lease_until_us) for each in new],
                )
                inserted = sa.select(table.c.order_id).where(
                    table.c.order_id.in_([each.order.order_id for each in new]),
                    table.c.runner == self._runner,
                    table.c.lease_until_us == lease_until_us,
                )
                owned = set(connection.execute(inserted).scalars())
                ours = [each for each in new if each.order.order_id in owned]
            for each in sorted(
                (each for each in candidates if each.runner is not None), key=lambda each: each.order.order_id
            ):
                as_seen = sa.and_(
                    table.c.order_id == each.order.order_id,
                    table.c.runner == each.runner,
                    table.c.attempt == each.attempt,
                    table.c.lease_until_us == each.lease_until_us,
                )
                if (
                    connection.execute(
                        sa.update(table).where(as_seen).values(**self._row(each, lease_until_us))
                    ).rowcount
                    == 1
                ):
                    ours.append(each)
        return ours

    def release(self, releases: Sequence[Release]) -> None:
        """Give claims back that are still ours."""
        with self._writing.begin() as connection:
            for each in sorted(releases, key=lambda each: each.order_id):
                connection.execute(
                    sa.update(table)
                    .where(table.c.order_id == each.order_id, table.c.runner == self._runner)
                    .values(
                        runner=NO_RUNNER,
                        lease_until_us=0,
                        due_at_us=each.due_at_us,
                        calls=each.calls,
                        last_code=each.last_code,
                    )
                )

    def drop(self, order_ids: Sequence[str]) -> None:
        """Remove our claims to orders that have ended."""
        with self._writing.begin() as connection:
            connection.execute(
                sa.delete(table).where(table.c.order_id.in_(sorted(order_ids)), table.c.runner == self._runner)
            )

    def _row(self, candidate: Candidate, lease_until_us: int) -> dict[str, object]:
        return {
            "order_id": candidate.order.order_id,
            "attempt": candidate.next_attempt,
            "runner": self._runner,
            "lease_until_us": lease_until_us,
            "due_at_us": lease_until_us,
            "calls": candidate.calls,
            "last_code": candidate.last_code,
        }


def next_due_us(engine: sa.Engine) -> int | None:
    """Return when the next known order is due (0: a placed one waits), None when none is."""
    with engine.connect() as connection:
        if connection.execute(_unclaimed(PLACED).limit(1)).first() is not None:
            return 0
        return connection.execute(sa.select(sa.func.min(table.c.due_at_us))).scalar()


def is_work_due(engine: sa.Engine, now_us: int) -> bool:
    """Say whether an order wants a step now or a cancellation waits for its answer."""
    with engine.connect() as connection:
        due = sa.select(table.c.order_id).where(table.c.due_at_us <= now_us, table.c.lease_until_us <= now_us)
        for query in (_unclaimed(PLACED), due, sa.select(cancellation_requests.c.order_id)):
            if connection.execute(query.limit(1)).first() is not None:
                return True
    return False


def expedite(engine: sa.Engine, order_ids: Sequence[str], now_us: int) -> set[str]:
    """Make the next step of released claims due now; return the orders whose claims were released.

    A claim that is held at this moment is left to its runner: it may release it for much later than now.
    """
    released = sa.and_(table.c.order_id.in_(sorted(order_ids)), table.c.runner == NO_RUNNER)
    with engine.execution_options(write=True).begin() as connection:
        found = set(connection.execute(sa.select(table.c.order_id).where(released).with_for_update()).scalars())
        if found:
            later = sa.and_(table.c.order_id.in_(sorted(found)), table.c.due_at_us > now_us)
            connection.execute(sa.update(table).where(later).values(due_at_us=now_us))
    return found


def drop_ended(engine: sa.Engine, limit: int) -> int:
    """Remove up to `limit` claims to orders that have ended; return how many."""
    with engine.connect() as connection:
        ended = (
            sa.select(table.c.order_id)
            .join(orders, orders.c.order_id == table.c.order_id)
            .where(orders.c.status.in_(ENDED))
            .limit(limit)
        )
        order_ids = sorted(connection.execute(ended).scalars())
    if order_ids:
        with engine.execution_options(write=True).begin() as connection:
            connection.execute(sa.delete(table).where(table.c.order_id.in_(order_ids)))
    return len(order_ids)


def adopt_unclaimed(engine: sa.Engine, now_us: int, limit: int) -> int:
    """Make up to `limit` executing orders without a claim due, as after restoring a log; return how many.

    Their claims look expired, so that whoever takes them starts a new attempt and asks the executor first.
    """
    with engine.connect() as connection:
        found = connection.execute(_unclaimed(EXECUTING, orders.c.attempt).limit(limit)).all()
    if found:
        rows = [
            {
                "order_id": row[0],
                "attempt": row[1],
                "runner": "lost",
                "lease_until_us": 0,
                "due_at_us": now_us,
                "calls": 0,
                "last_code": None,
            }
            for row in found
        ]
        adopting = sa.insert(table).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
        with engine.execution_options(write=True).begin() as connection:
            connection.execute(adopting.prefix_with("IGNORE", dialect="mariadb"), rows)
    return len(found)


def _unclaimed(status: str, *columns: sa.Column[int]) -> sa.Select[Any]:
    claimed = sa.exists().where(table.c.order_id == orders.c.order_id)
    return sa.select(orders.c.order_id, *columns).where(orders.c.status == status, ~claimed)
