"""Who may do anything to the database, for tests of what an audit then finds; and a log worth tampering with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger import schema
from ledger.audit.findings import Report
from ledger.audit.verification import verify
from ledger.commands import (
    CancelOrder,
    ChangeLevel,
    CompleteOrder,
    EraseCustomer,
    FailOrder,
    ParkOrder,
    Reactivate,
    ResolveOrder,
    ReverseTransaction,
    SetCreditLimit,
    StartOrder,
    Suspend,
)
from ledger.leaf import LEAF_FIELDS, leaf_bytes, leaf_hash
from ledger.settings import LedgerSettings
from submissions import Desk

EVENTS = schema.events


@dataclass(frozen=True, slots=True)
class Root:
    """The administrator of a log's database; the triggers that refuse changes are no hindrance."""

    engine: sa.Engine
    url: str
    keep_triggers: bool = False

    def __post_init__(self) -> None:
        if self.keep_triggers:
            return
        sqlite = "SELECT name FROM sqlite_master WHERE type='trigger'"
        mysql = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema=DATABASE()"
        for name in self.query(sqlite if self.engine.dialect.name == "sqlite" else mysql):
            self.run(f"DROP TRIGGER {name[0]}")

    def run(self, statement: str | sa.Executable, **values: Any) -> None:
        """Change anything."""
        with self.engine.execution_options(write=True).begin() as connection:
            connection.execute(sa.text(statement) if isinstance(statement, str) else statement, values)

    def query(self, statement: str) -> list[Any]:
        """Look at anything."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.text(statement)).all())

    def event(self, position: int) -> dict[str, Any]:
        """Return an event's row."""
        with self.engine.connect() as connection:
            query = sa.select(EVENTS).where(EVENTS.c.position == position)
            return dict(connection.execute(query).mappings().one())

    def position_of(self, type_name: str, number: int = 1) -> int:
        """Return the position of the number-th event of a type."""
        found = self.query(f"SELECT position FROM events WHERE type='{type_name}' ORDER BY position")
        position: int = found[number - 1][0]
        return position

    def change(self, position: int, *, sealed: bool = False, **values: Any) -> None:
        """Change an event's columns; `sealed` with a leaf hash made anew."""
        row = self.event(position) | values
        if sealed:
            row["leaf_hash"] = leaf_hash(leaf_bytes(*(row[name] for name in LEAF_FIELDS)))
        self.run(sa.update(EVENTS).where(EVENTS.c.position == position).values(row))

    def rewrite(self, change: Callable[[dict[str, Any]], None], *, after: int = 0) -> None:
        """Change every event from a position on, each with a leaf hash made anew."""
        for (position,) in self.query(f"SELECT position FROM events WHERE position>{after} ORDER BY position"):
            row = self.event(position)
            change(row)
            self.change(row.pop("position"), sealed=True, **row)

    def shorten(self, length: int) -> None:
        """Make it as if the log had ended at a position: events, outcomes and what accounts and orders were then."""
        self.run(f"DELETE FROM events WHERE position>{length}")
        self.run(f"DELETE FROM outcomes WHERE position>{length}")
        self.run(f"UPDATE log_head SET position={length}")

    def verify(self, processes: int = 1, **more: Any) -> Report:
        """Audit, in one process or with a range for each of several."""
        settings = LedgerSettings(database_url=self.url)
        return verify(settings, processes=processes, events_per_process_min=1, **more)


def live(desk: Desk) -> list[str]:
    """Have three customers' accounts see every kind of event; return their ids."""
    accounts = [desk.open(recharged_minor=100_000) for _ in range(3)]
    first, second, third = accounts

    def done(command: Any, **more: Any) -> Any:
        outcome = desk.submit(command, **more)
        assert outcome.error is None, outcome.error
        return outcome

    def placed(account_id: str, quantity: int = 100) -> str:
        order = desk.place(account_id, quantity).order
        assert order is not None
        return order.order_id

    def started(account_id: str, quantity: int = 100) -> str:
        order_id = placed(account_id, quantity)
        done(StartOrder(order_id=order_id, attempt=1, executor="http"))
        return order_id

    assert desk.deduct(first, 2_500).error is None
    recharge = desk.recharge(second, 700, details={"memo": "paid twice"})
    done(ChangeLevel(account_id=second, level_id="lev_1", discount_percent="90"))
    done(SetCreditLimit(account_id=third, credit_limit_minor=5_000))
    done(Suspend(account_id=third))
    done(Reactivate(account_id=third))
    done(CompleteOrder(order_id=started(first), attempt=1, delivered=100))
    done(CompleteOrder(order_id=started(second, 7), attempt=1, delivered=3))
    done(FailOrder(order_id=started(first), attempt=1, code="executor-refused"))
    done(CancelOrder(order_id=placed(second)))
    done(CancelOrder(order_id=started(second), confirmed_attempt=1, delivered=40))
    for resolution, delivered in (("completed", 50), ("failed", 0)):
        order_id = started(first)
        done(ParkOrder(order_id=order_id, attempt=1, code="executor-contradicts"))
        done(ResolveOrder(order_id=order_id, resolution=resolution, delivered=delivered))
    done(ReverseTransaction(reverses_position=recharge.position, account_id=second, signed_amount_minor=700))
    again = started(third, 250)
    done(StartOrder(order_id=again, attempt=2, executor="http"))
    assert desk.deduct(third, 101_000).error is None  # into its credit
    done(EraseCustomer(account_id=first))
    assert desk.deduct(second, 10**9).error is not None
    placed(first)
    return accounts
