"""Replay the log to a position: balances and orders as of then, from the events alone.

All accounts together are folded by the audit's own books, without hashes; one customer, with each order, by the rules
of ledger.accounts and ledger.orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import accounts, codec, log, orders
from ledger.accounts import Account
from ledger.audit.findings import CannotTell
from ledger.audit.reading import EventReader
from ledger.audit.scan import RangeScan
from ledger.audit.verification import audit_url
from ledger.audit.write_side import account_row
from ledger.database import open_engine
from ledger.errors import AccountNotFound
from ledger.events import OrderEvent
from ledger.log import PAGE_EVENTS
from ledger.orders import STATUSES, Order
from ledger.settings import LedgerSettings


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
def connected(settings: LedgerSettings) -> Iterator[sa.Connection]:
    """Open a connection to where audits read. Raises CannotTell when the log cannot be read."""
    engine = open_engine(audit_url(settings), settings)
    try:
        with engine.connect() as connection:
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise CannotTell(problem=f"the log cannot be read: {str(error).partition(chr(10))[0]}") from None
    finally:
        engine.dispose()


def position_at_time(settings: LedgerSettings, time_us: int) -> int:
    """Return the last position recorded at or before a time; 0 when there is none."""
    with connected(settings) as connection:
        return log.position_at(connection, time_us)


def replay(settings: LedgerSettings, *, position: int | None = None, customer_id: str | None = None) -> Replayed:
    """Replay to a position (default, and at most: the end of the log), for one customer or all.

    Raises AccountNotFound for a customer who was not there yet, CannotTell for a log that breaks its rules.
    """
    with connected(settings) as connection:
        end = log.head(connection).position
        position = end if position is None else min(position, end)
        last = log.event_at(connection, position)
        time_us = None if last is None else last.recorded_at_us
        if customer_id is not None:
            account, found = _one(connection, customer_id, position)
            counts = _counted([order.status for order in found])
            return Replayed(
                position=position, recorded_at_us=time_us, accounts=[account], orders=found, order_statuses=counts
            )
    folded = _all(settings, position)
    states = [account_row(part) for part in folded.books.accounts.values()]
    counts = {status: count for status in STATUSES if (count := folded.books.order_statuses()[status])}
    return Replayed(position=position, recorded_at_us=time_us, accounts=states, orders=[], order_statuses=counts)


def _all(settings: LedgerSettings, position: int) -> RangeScan:
    scan = RangeScan(1, hashes=False)
    reader = EventReader(audit_url(settings), settings)
    try:
        for rows in reader.pages(1, position):
            if not scan.take(rows):
                break
    finally:
        reader.close()
    found = scan.result(position).finding
    if found is not None:
        raise CannotTell(problem=f"the log breaks its rules at position {found.position}: {found.words}")
    return scan


def _one(connection: sa.Connection, customer_id: str, position: int) -> tuple[Account, list[Order]]:
    account: Account | None = None
    found: dict[str, Order] = {}
    after = 0
    while True:
        page = log.account_events(connection, customer_id, after=after, up_to=position, limit=PAGE_EVENTS)
        for each in page:
            event = codec.decode(each.type, each.schema_version, each.data)
            account = accounts.evolve(account, event, account_id=customer_id, position=each.position)
            if isinstance(event, OrderEvent) and each.order_id is not None:
                order = found.get(each.order_id)
                found[each.order_id] = orders.evolve(
                    order, event, order_id=each.order_id, account_id=customer_id, position=each.position
                )
        if len(page) < PAGE_EVENTS:
            break
        after = page[-1].position
    if account is None:
        raise AccountNotFound(account_id=customer_id)
    return account, list(found.values())


def _counted(statuses: Sequence[str]) -> dict[str, int]:
    return {status: count for status in STATUSES if (count := statuses.count(status))}
