"""Claims: an agent's exclusive, expiring right to take one order's next step.

A row of `claims` goes with every order that has been taken and has not ended. It is *leased* (a runner's name and a
lease in the future), *released* (no runner, due at a time) or *expired* (a runner that did not come back). Whoever
takes a released claim goes on with the same attempt, because its last runner has nothing left to record; whoever
takes an expired one must start a new attempt, which makes the lost runner stale. While a claim is leased it is due
when the lease ends, so that one index finds all there is to do. The log stays the judge: two runners that both
believe in a claim are told apart by the attempt.

Rows are locked and written in the order of their ids, all of one kind by one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ledger.orders import EXECUTING, NEEDS_REVIEW, PLACED, TERMINAL
from ledger.schema import cancellation_requests, orders
from ledger.schema import claims as table
from workers import candidates
from workers.candidates import NO_RUNNER, Candidate, unclaimed

ENDED = (*sorted(TERMINAL), NEEDS_REVIEW)


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
        """Return up to `limit` orders that want a step."""
        return candidates.due(self._engine, now_us, limit)

    def take(self, wanted: Sequence[Candidate], *, lease_until_us: int) -> list[Candidate]:
        """Lease the candidates' claims; return those that were still as seen, which are now ours."""
        new = sorted((each for each in wanted if each.runner is None), key=_order_id)
        seen = sorted((each for each in wanted if each.runner is not None), key=_order_id)
        with self._writing.begin() as connection:
            ours = self._inserted(connection, new, lease_until_us) if new else set()
            ours |= self._updated(connection, seen, lease_until_us) if seen else set()
        return [each for each in wanted if each.order.order_id in ours]

    def settle(self, ended: Sequence[str], releases: Sequence[Release]) -> None:
        """Remove claims to orders that have ended and give others back, as far as they are still ours."""
        if not ended and not releases:
            return
        with self._writing.begin() as connection:
            if ended:
                connection.execute(
                    sa.delete(table).where(table.c.order_id.in_(sorted(ended)), table.c.runner == self._runner)
                )
            if releases:
                self._release(connection, releases)

    def _inserted(self, connection: sa.Connection, new: Sequence[Candidate], lease_until_us: int) -> set[str]:
        rows = [
            {
                "order_id": each.order.order_id,
                "attempt": each.next_attempt,
                "runner": self._runner,
                "lease_until_us": lease_until_us,
                "due_at_us": lease_until_us,
                "calls": each.calls,
                "last_code": each.last_code,
            }
            for each in new
        ]
        order_ids = [each.order.order_id for each in new]
        if connection.execute(_insert_ignore(), rows).rowcount == len(rows):
            return set(order_ids)
        inserted = sa.select(table.c.order_id).where(
            table.c.order_id.in_(order_ids),
            table.c.runner == self._runner,
            table.c.lease_until_us == lease_until_us,
        )
        return set(connection.execute(inserted).scalars())

    def _updated(self, connection: sa.Connection, seen: Sequence[Candidate], lease_until_us: int) -> set[str]:
        locked = {
            row.order_id: (row.runner, row.attempt, row.lease_until_us)
            for row in connection.execute(_locked([each.order.order_id for each in seen]))
        }
        unchanged = [
            each for each in seen if locked.get(each.order.order_id) == (each.runner, each.attempt, each.lease_until_us)
        ]
        for attempt in sorted({each.next_attempt for each in unchanged}):
            order_ids = [each.order.order_id for each in unchanged if each.next_attempt == attempt]
            connection.execute(
                sa.update(table)
                .where(table.c.order_id.in_(order_ids))
                .values(attempt=attempt, runner=self._runner, lease_until_us=lease_until_us, due_at_us=lease_until_us)
            )
        return {each.order.order_id for each in unchanged}

    def _release(self, connection: sa.Connection, releases: Sequence[Release]) -> None:
        given_back = sorted(releases, key=lambda each: each.order_id)
        attempts = {
            row.order_id: row.attempt
            for row in connection.execute(_locked([each.order_id for each in given_back]))
            if row.runner == self._runner
        }
        rows = [
            {
                "order_id": each.order_id,
                "attempt": attempts[each.order_id],
                "runner": NO_RUNNER,
                "lease_until_us": 0,
                "due_at_us": each.due_at_us,
                "calls": each.calls,
                "last_code": each.last_code,
            }
            for each in given_back
            if each.order_id in attempts
        ]
        if rows:
            connection.execute(_overwrite(connection.dialect.name), rows)


def next_due_us(engine: sa.Engine) -> int | None:
    """Return when the next known order is due (0: a placed one waits), None when none is."""
    with engine.connect() as connection:
        if connection.execute(unclaimed(PLACED).limit(1)).first() is not None:
            return 0
        return connection.execute(sa.select(sa.func.min(table.c.due_at_us))).scalar()


def is_work_due(engine: sa.Engine, now_us: int) -> bool:
    """Say whether an order wants a step now or a cancellation waits for its answer."""
    with engine.connect() as connection:
        waiting = sa.select(table.c.order_id).where(table.c.due_at_us <= now_us, table.c.lease_until_us <= now_us)
        for query in (unclaimed(PLACED), waiting, sa.select(cancellation_requests.c.order_id)):
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
        found = connection.execute(unclaimed(EXECUTING, orders.c.attempt).limit(limit)).all()
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
        with engine.execution_options(write=True).begin() as connection:
            connection.execute(_insert_ignore(), rows)
    return len(found)


def _order_id(candidate: Candidate) -> str:
    return candidate.order.order_id


def _insert_ignore() -> sa.Insert:
    inserting = sa.insert(table).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
    return inserting.prefix_with("IGNORE", dialect="mariadb")


def _locked(order_ids: Sequence[str]) -> sa.Select[Any]:
    columns = table.c.order_id, table.c.runner, table.c.attempt, table.c.lease_until_us
    return sa.select(*columns).where(table.c.order_id.in_(order_ids)).order_by(table.c.order_id).with_for_update()


def _overwrite(dialect: str) -> sa.Insert:
    """Return the statement that writes whole rows over those that are there: one statement for any number of rows."""
    if dialect == "sqlite":
        upsert = sqlite_insert(table)
        changed = {column.name: upsert.excluded[column.name] for column in table.columns if not column.primary_key}
        return upsert.on_conflict_do_update(index_elements=[table.c.order_id], set_=changed)
    insert = mysql_insert(table)
    changed = {column.name: insert.inserted[column.name] for column in table.columns if not column.primary_key}
    return insert.on_duplicate_key_update(changed)
