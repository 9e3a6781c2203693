"""Replay the log to a position: balances and orders as of then, from the events alone.

All accounts together are folded by the audit's own books, without hashes; one customer, with each order, by the rules
of ledger.accounts and ledger.orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import accounts, codec, log, orders
from ledger.accounts import Account
from ledger.audit.findings import CannotTell
from ledger.audit.reading import EventReader, Row
from ledger.audit.scan import RangeScan
from ledger.audit.write_side import account_row
from ledger.database import open_reading_engine
from ledger.errors import AccountNotFound
from ledger.events import Event, OrderEvent
from ledger.log import PAGE_EVENTS
from ledger.orders import STATUSES, Order
from ledger.replicas.sources import source
from ledger.settings import LedgerSettings

Progress = Callable[[int, int], None]
"""Is told how many events of how many are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What the log led to at a position, recorded at `recorded_at_us` (None: before the first event).

    `orders`: each order of the one customer asked for; of all customers only their number by status is told.
    """

    position: int
    recorded_at_us: int | None
    accounts: Sequence[Account]
    orders: Sequence[Order]
    order_statuses: Mapping[str, int]


@contextmanager
def connected(settings: LedgerSettings, *, position: int = 0, until_us: int = -1) -> Iterator[sa.Connection]:
    """Open a connection to where audits read, on a server that has `position` and is beyond `until_us`.

    Raises CannotTell when the log cannot be read.
    """
    engine = open_reading_engine(source(settings, position=position, until_us=until_us).url, settings)
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise CannotTell(problem=f"the log cannot be read: {str(error).partition(chr(10))[0]}") from None
    finally:
        engine.dispose()


def position_at_time(settings: LedgerSettings, time_us: int) -> int:
    """Return the last position recorded at or before a time; 0 when there is none."""
    with connected(settings, until_us=time_us) as connection:
        return log.position_at(connection, time_us)


def replay(
    settings: LedgerSettings,
    *,
    position: int | None = None,
    customer_id: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Replayed:
    """Replay to a position (default, and at most: the end of the log), for one customer or all.

    Raises AccountNotFound for a customer who was not there yet, CannotTell for a log that breaks its rules.
    """
    with connected(settings, position=position or 0) as connection:
        end = log.head(connection).position
        position = end if position is None else min(position, end)
        time_us = recorded_at_us(connection, position)
        if customer_id is not None:
            one = OneAccount(connection, customer_id)
            one.go_on(position)
            return Replayed(
                position=position,
                recorded_at_us=time_us,
                accounts=[one.account],
                orders=list(one.orders.values()),
                order_statuses=one.order_statuses(),
            )
    with every_account(settings, position=position) as everyone:
        everyone.go_on(position, lambda rows: progress(everyone.position, position))
        return Replayed(
            position=position,
            recorded_at_us=time_us,
            accounts=everyone.accounts(),
            orders=[],
            order_statuses=everyone.order_statuses(),
        )


def recorded_at_us(connection: sa.Connection, position: int) -> int | None:
    """Return when the event at a position was recorded, None before the first."""
    event = log.event_at(connection, position)
    return None if event is None else event.recorded_at_us


class EveryAccount:
    """All accounts and the number of orders by status, as far as they were folded."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._scan = RangeScan(1, hashes=False)
        self.books = self._scan.books
        self.position = 0

    def go_on(self, position: int, look: Callable[[Sequence[Row]], None] = lambda rows: None) -> None:
        """Fold until a position; `look` is shown each page then. Raises CannotTell for a log that breaks its rules."""
        for rows in self._reader.pages(self.position + 1, position):
            if not self._scan.take(rows):
                break
            self.position += len(rows)
            look(rows)
        found = self._scan.result(position).finding
        if found is not None:
            raise CannotTell(problem=f"the log breaks its rules at position {found.position}: {found.words}")

    def accounts(self) -> list[Account]:
        """Return the accounts."""
        return [account_row(part) for part in self.books.accounts.values()]

    def order_statuses(self) -> dict[str, int]:
        """Return the number of orders by status; what there is none of is left out."""
        return _in_order(self.books.order_statuses())


class OneAccount:
    """One account and each of its orders, as far as they were folded. Raises AccountNotFound before its first event."""

    def __init__(self, connection: sa.Connection, customer_id: str) -> None:
        self._connection = connection
        self._customer_id = customer_id
        self._account: Account | None = None
        self._position = 0
        self.orders: dict[str, Order] = {}

    @property
    def account(self) -> Account:
        """The account."""
        if self._account is None:
            raise AccountNotFound(account_id=self._customer_id)
        return self._account

    @property
    def is_open(self) -> bool:
        """Whether there is an account yet."""
        return self._account is not None

    def go_on(self, position: int, look: Callable[[Event], None] = lambda event: None) -> None:
        """Fold until a position; `look` is shown each event then."""
        after, customer_id = self._position, self._customer_id
        while page := log.account_events(self._connection, customer_id, after=after, up_to=position, limit=PAGE_EVENTS):
            for each in page:
                event = codec.decode(each.type, each.schema_version, each.data)
                self._account = accounts.evolve(self._account, event, account_id=customer_id, position=each.position)
                if isinstance(event, OrderEvent) and each.order_id is not None:
                    order = self.orders.get(each.order_id)
                    self.orders[each.order_id] = orders.evolve(
                        order, event, order_id=each.order_id, account_id=customer_id, position=each.position
                    )
                look(event)
            after = page[-1].position
        self._position = position

    def order_statuses(self) -> dict[str, int]:
        """Return the number of orders by status; what there is none of is left out."""
        return _in_order(Counter(order.status for order in self.orders.values()))


@contextmanager
def every_account(settings: LedgerSettings, *, position: int) -> Iterator[EveryAccount]:
    """Open the log to fold all accounts from its beginning, on a server that has `position`."""
    reader = EventReader(source(settings, position=position).url, settings)
    try:
        yield EveryAccount(reader)
    finally:
        reader.close()


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {status: count for status in STATUSES if (count := counts.get(status, 0))}
