"""The `eventsourcing` package on the same MariaDB: aggregates, commands on them, and the replay of its notification log.

Its recorder for SQLAlchemy, eventsourcing-sqlalchemy, wants SQLAlchemy below 2.1 and cannot be installed beside the
ledger; the recorder below does the same with the same ORM: one class a table, a session, objects, stored events made
of them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from eventsourcing.application import Repository
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import (
    ApplicationRecorder,
    DatetimeAsISO,
    DecimalAsStr,
    EventStore,
    IntegrityError,
    JSONTranscoder,
    Mapper,
    Notification,
    StoredEvent,
    Subscription,
    UUIDAsHex,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.ways import AMOUNT_MINOR, CREDIT_MINOR

PAGE = 1_000
ROWS_PER_STATEMENT = 1_000
EVENTS_PER_ACCOUNT = 100


class Base(DeclarativeBase):
    """Its tables."""


class StoredEventRecord(Base):
    """One event, as the package stores it."""

    __tablename__ = "stored_events"
    __table_args__ = (sa.UniqueConstraint("originator_id", "originator_version"),)

    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=True)
    originator_id: Mapped[UUID] = mapped_column(sa.Uuid(native_uuid=False))
    originator_version: Mapped[int] = mapped_column(sa.BigInteger)
    topic: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[bytes] = mapped_column(sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"))


class OrmRecorder(ApplicationRecorder):
    """The package's recorder interface over a session."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int]:
        """Add the events and return their ids."""
        with Session(self._engine) as session:
            records = [
                StoredEventRecord(
                    originator_id=each.originator_id,
                    originator_version=each.originator_version,
                    topic=each.topic,
                    state=each.state,
                )
                for each in stored_events
            ]
            session.add_all(records)
            try:
                session.flush()
            except sa.exc.IntegrityError as error:
                raise IntegrityError from error
            ids = [each.id for each in records]
            session.commit()
        return ids

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return an aggregate's events between two versions."""
        record = StoredEventRecord
        query = sa.select(record).where(record.originator_id == originator_id).limit(limit)
        query = query.order_by(record.originator_version.desc() if desc else record.originator_version)
        if gt is not None:
            query = query.where(record.originator_version > gt)
        if lte is not None:
            query = query.where(record.originator_version <= lte)
        with Session(self._engine) as session:
            return [
                StoredEvent(
                    originator_id=each.originator_id,
                    originator_version=each.originator_version,
                    topic=each.topic,
                    state=each.state,
                )
                for each in session.scalars(query)
            ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return a page of the notification log, as eventsourcing-sqlalchemy does."""
        query = sa.select(StoredEventRecord).order_by(StoredEventRecord.id).limit(limit)
        if start is not None:
            column = StoredEventRecord.id
            query = query.where(column >= start if inclusive_of_start else column > start)
        with Session(self._engine) as session:
            return [
                Notification(
                    id=each.id,
                    originator_id=each.originator_id,
                    originator_version=each.originator_version,
                    topic=each.topic,
                    state=each.state,
                )
                for each in session.scalars(query)
            ]

    def max_notification_id(self) -> int | None:
        """Return the end of the log."""
        with Session(self._engine) as session:
            return session.scalar(sa.select(sa.func.max(StoredEventRecord.id)))

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Follow the log: not what is measured."""
        raise NotImplementedError


class CustomerAccount(Aggregate):
    """A customer's account with its orders, as the package's users would write it."""

    @event("Opened")
    def __init__(self, currency: str, credit_limit_minor: int, id: UUID | None = None) -> None:
        self.currency = currency
        self.credit_limit_minor = credit_limit_minor
        self.available_minor = 0
        self.held_minor = 0

    @event("Recharged")
    def recharge(self, amount_minor: int, reference: str, idempotency_key: str) -> None:
        """Add money."""
        self.available_minor += amount_minor

    @event("Deducted")
    def deduct(self, amount_minor: int, idempotency_key: str) -> None:
        """Take money."""
        if self.available_minor + self.credit_limit_minor < amount_minor:
            raise ValueError("insufficient funds")
        self.available_minor -= amount_minor

    @event("OrderPlaced")
    def place(self, order: str, product: str, quantity: int, amount_minor: int, idempotency_key: str) -> None:
        """Hold an order's price."""
        if self.available_minor + self.credit_limit_minor < amount_minor:
            raise ValueError("insufficient funds")
        self.available_minor -= amount_minor
        self.held_minor += amount_minor

    @event("OrderStarted")
    def start(self, order: str, attempt: int, executor: str, idempotency_key: str) -> None:
        """Record an attempt."""

    @event("OrderCompleted")
    def complete(
        self, order: str, delivered: int, captured_minor: int, released_minor: int, idempotency_key: str
    ) -> None:
        """Capture and release."""
        self.held_minor -= captured_minor + released_minor
        self.available_minor += released_minor


class EventsourcingWay:
    """Commands on aggregates that a repository keeps and brings up to date, as the package's documentation does.

    Nothing keeps an idempotency key from being used twice, and a command that was overtaken is tried again.
    """

    def __init__(self, url: str, *, accounts: int, callers: int) -> None:
        self._accounts = accounts
        self._engine = sa.create_engine(
            url, isolation_level="READ COMMITTED", pool_size=callers, connect_args={"ssl_disabled": True}
        )
        self._mapper = _mapper()
        self._recorder = OrmRecorder(self._engine)
        self._store = EventStore(self._mapper, self._recorder)
        self._repository = Repository(self._store, cache_maxsize=accounts)

    def create(self) -> None:
        """Make the tables and the accounts."""
        Base.metadata.create_all(self._engine)
        for first in range(1, self._accounts + 1, ROWS_PER_STATEMENT):
            numbers = range(first, min(first + ROWS_PER_STATEMENT, self._accounts + 1))
            opened = [
                CustomerAccount(id=_account_id(each), currency="CNY", credit_limit_minor=CREDIT_MINOR)
                for each in numbers
            ]
            self._store.put([happened for each in opened for happened in each.collect_events()])

    def make_ready(self, posts: int) -> None:
        """Nothing."""

    def post(self, account: int, key: str) -> None:
        """Get the account, take the money, save; again when another caller was faster."""
        while True:
            found: CustomerAccount = self._repository.get(_account_id(account))
            found.deduct(AMOUNT_MINOR, key)
            try:
                self._store.put(found.collect_events())
            except IntegrityError:
                continue
            return

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Post several at once: not what is measured."""
        raise NotImplementedError

    def post_kind(self, kind: str, account: int, key: str, order: Any) -> Any:
        """Post another command than a deduction: not what is measured."""
        raise NotImplementedError

    def leave(self) -> None:
        """Nothing: connections are the pool's."""

    def counters(self) -> dict[str, int]:
        """Count nothing."""
        return {}

    def check(self) -> int:
        """Replay every account and compare with the number of its events."""
        accounts: dict[UUID, Any] = {}
        last = _replay(self._recorder, self._mapper, 0, accounts)
        while last:
            last = _replay(self._recorder, self._mapper, last, accounts)
        assert len(accounts) == self._accounts
        posts = sum(each.version - 1 for each in accounts.values())
        assert sum(each.available_minor for each in accounts.values()) == -posts * AMOUNT_MINOR
        return posts

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


class EventsourcingReplay:
    """A log of aggregates' events and its replay."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="READ COMMITTED")
        self._recorder = OrmRecorder(self._engine)
        self._mapper = _mapper()

    def fill(self, events: int) -> None:
        """Make the tables and a log of so many events, inserted in bulk."""
        Base.metadata.create_all(self._engine)
        chance = random.Random(events)
        accounts = [
            CustomerAccount(currency="CNY", credit_limit_minor=10**12)
            for _ in range(max(1, events // EVENTS_PER_ACCOUNT))
        ]
        pending = [each for account in accounts for each in account.collect_events()]
        written = 0
        while written < events:
            while len(pending) < ROWS_PER_STATEMENT:
                account = chance.choice(accounts)
                _live(account, chance)
                pending += account.collect_events()
            now, pending = pending[: min(ROWS_PER_STATEMENT, events - written)], pending[ROWS_PER_STATEMENT:]
            stored = [self._mapper.to_stored_event(each) for each in now]
            with self._engine.begin() as connection:
                connection.execute(
                    sa.insert(StoredEventRecord),
                    [
                        {
                            "originator_id": each.originator_id,
                            "originator_version": each.originator_version,
                            "topic": each.topic,
                            "state": each.state,
                        }
                        for each in stored
                    ],
                )
            written += len(stored)

    def replay(self, after: int, accounts: dict[UUID, Any]) -> int:
        """Bring the accounts up by one page; return the last id, or 0 at the end."""
        return _replay(self._recorder, self._mapper, after, accounts)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def _replay(recorder: OrmRecorder, mapper: Mapper[UUID], after: int, accounts: dict[UUID, Any]) -> int:
    page = recorder.select_notifications(after, PAGE, inclusive_of_start=False)
    for each in page:
        happened: Any = mapper.to_domain_event(each)
        accounts[happened.originator_id] = happened.mutate(accounts.get(happened.originator_id))
    return page[-1].id if page else 0


def _mapper() -> Mapper[UUID]:
    transcoder = JSONTranscoder()
    for each in (UUIDAsHex(), DecimalAsStr(), DatetimeAsISO()):
        transcoder.register(each)
    return Mapper(transcoder=transcoder)


def _account_id(number: int) -> UUID:
    return UUID(int=number)


def _live(account: CustomerAccount, chance: random.Random) -> None:
    def key() -> str:
        return f"k_{chance.getrandbits(128):032x}"

    dice = chance.random()
    if dice < 0.2:
        account.recharge(chance.randint(1_000, 100_000), f"transfer {chance.randint(1, 10**9)}", key())
    elif dice < 0.4:
        account.deduct(chance.randint(1, 1_000), key())
    else:
        order, quantity = f"ord_{chance.getrandbits(128):032x}", chance.randint(1, 1_000)
        account.place(order, "sms", quantity, quantity * 10, key())
        account.start(order, 1, "simulated", key())
        account.complete(order, quantity, quantity * 10, 0, key())
