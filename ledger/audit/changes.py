"""What changed from one position to another: the log folded once, to the first position and on to the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ledger import log
from ledger.audit import shapes
from ledger.audit.reading import COLUMNS, Row
from ledger.audit.replaying import EveryAccount, OneAccount, Progress, connected, every_account, recorded_at_us
from ledger.events import Event
from ledger.orders import Order
from ledger.settings import LedgerSettings

_ACCOUNT_ID, _TYPE, _SCHEMA_VERSION, _DATA = (
    COLUMNS.index(name) for name in ("account_id", "type", "schema_version", "data")
)


class Money(NamedTuple):
    """An account's money at a position."""

    available_minor: int = 0
    held_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """An account whose money changed, or that was opened meanwhile (`before` is zero then)."""

    account_id: str
    currency: str
    before: Money
    after: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """An order to which something happened; `before` None: it was placed meanwhile."""

    before: Order | None
    after: Order


@dataclass(slots=True)
class Moved:
    """What came and went in a currency. Reversals are signed: less than zero undid recharges."""

    recharged_minor: int = 0
    deducted_minor: int = 0
    reversed_minor: int = 0
    captured_minor: int = 0

    def add(self, type_name: str, content: Any) -> None:
        """Add an event; most move nothing in or out. `content` has its data as attributes."""
        match type_name:
            case "recharge.posted":
                self.recharged_minor += content.amount_minor
            case "deduction.posted":
                self.deducted_minor += content.amount_minor
            case "transaction.reversed":
                self.reversed_minor += content.amount_minor
            case "order.completed" | "order.cancelled" | "order.resolved":
                self.captured_minor += content.captured_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the events after position `first` until `last` changed. `moved`: by currency.

    `orders`: those of the one customer asked for; of all customers only their number by status is told.
    """

    first: int
    last: int
    times_us: tuple[int | None, int | None]
    accounts: Sequence[AccountChange]
    orders: Sequence[OrderChange]
    statuses: tuple[Mapping[str, int], Mapping[str, int]]
    moved: Mapping[str, Moved]


def changes(
    settings: LedgerSettings,
    first: int,
    last: int,
    *,
    customer_id: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Changes:
    """Replay to both positions, each at most the end of the log, for one customer or all.

    Raises AccountNotFound for a customer who was not there at the second, CannotTell for a log that breaks its rules.
    """
    with connected(settings, position=max(first, last)) as connection:
        end = log.head(connection).position
        first, last = min(first, end), min(last, end)
        times_us = (recorded_at_us(connection, first), recorded_at_us(connection, last))
        if customer_id is not None:
            return _of_one(OneAccount(connection, customer_id), first, last, times_us)
    with every_account(settings, position=last) as everyone:
        return _of_all(everyone, first, last, times_us, progress)


def _of_all(
    everyone: EveryAccount, first: int, last: int, times_us: tuple[int | None, int | None], progress: Progress
) -> Changes:
    parts = everyone.books.accounts
    moved: dict[str, Moved] = {}

    def tell(rows: Sequence[Row]) -> None:
        progress(everyone.position, last)

    def add(rows: Sequence[Row]) -> None:
        for row in rows:
            type_name = row[_TYPE].decode()
            if type_name in _MOVING:
                content = shapes.decode(type_name, int(row[_SCHEMA_VERSION]), row[_DATA])
                moved.setdefault(parts[row[_ACCOUNT_ID]].currency or "", Moved()).add(type_name, content)
        tell(rows)

    everyone.go_on(first, tell)
    before = {name: Money(part.available, part.held) for name, part in parts.items()}
    statuses = everyone.order_statuses()
    everyone.go_on(last, add)
    found = [
        AccountChange(
            account_id=name.decode(), currency=part.currency or "", before=before.get(name, Money()), after=after
        )
        for name, part in parts.items()
        if (after := Money(part.available, part.held)) != before.get(name)
    ]
    return Changes(
        first=first,
        last=last,
        times_us=times_us,
        accounts=found,
        orders=[],
        statuses=(statuses, everyone.order_statuses()),
        moved=moved,
    )


def _of_one(one: OneAccount, first: int, last: int, times_us: tuple[int | None, int | None]) -> Changes:
    moved = Moved()

    def add(event: Event) -> None:
        moved.add(event.TYPE, event)

    one.go_on(first)
    before = Money(one.account.available_minor, one.account.held_minor) if one.is_open else None
    orders, statuses = dict(one.orders), one.order_statuses()
    one.go_on(last, add)
    account = one.account
    after = Money(account.available_minor, account.held_minor)
    change = AccountChange(
        account_id=account.account_id, currency=account.currency, before=before or Money(), after=after
    )
    return Changes(
        first=first,
        last=last,
        times_us=times_us,
        accounts=[] if after == before else [change],
        orders=[
            OrderChange(before=orders.get(name), after=order)
            for name, order in one.orders.items()
            if order != orders.get(name)
        ],
        statuses=(statuses, one.order_statuses()),
        moved={} if moved == Moved() else {account.currency: moved},
    )


_MOVING = frozenset(
    {
        "recharge.posted", "deduction.posted", "transaction.reversed", "order.completed", "order.cancelled",
        "order.resolved",
    }
)  # fmt: skip
