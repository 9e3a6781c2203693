"""The SQLAlchemy ORM way: a session, the account selected for update, a movement added, commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from bench.ways import AMOUNT_MINOR, CANCELLATION, CREDIT_MINOR, ORDER, RECHARGE

REFERENCE = "order placed from the web shop"


class Base(DeclarativeBase):
    """The baseline's own tables."""


class OrmAccount(Base):
    """A balance that is changed in place."""

    __tablename__ = "orm_accounts"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    available_minor: Mapped[int] = mapped_column(sa.BigInteger)
    held_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    version: Mapped[int] = mapped_column(sa.BigInteger)


class OrmOrder(Base):
    """An order that holds money until it is cancelled."""

    __tablename__ = "orm_orders"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey(OrmAccount.id))
    status: Mapped[str] = mapped_column(sa.String(16))
    product: Mapped[str] = mapped_column(sa.String(64))
    quantity: Mapped[int] = mapped_column(sa.BigInteger)
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    reference: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]


class OrmMovement(Base):
    """What was done to an account."""

    __tablename__ = "orm_movements"
    __table_args__ = (sa.UniqueConstraint("account_id", "version"),)
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey(OrmAccount.id))
    version: Mapped[int] = mapped_column(sa.BigInteger)
    kind: Mapped[str] = mapped_column(sa.String(24))
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    available_minor: Mapped[int] = mapped_column(sa.BigInteger)
    idempotency_key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    actor: Mapped[str] = mapped_column(sa.String(80))
    reference: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime]


class OrmWay:
    """Sessions over a pool with a connection for each caller."""

    def __init__(self, url: str, *, accounts: int, callers: int) -> None:
        self._accounts = accounts
        self._engine = sa.create_engine(
            url, isolation_level="READ COMMITTED", pool_size=callers, connect_args={"ssl_disabled": True}
        )
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)

    def create(self) -> None:
        """Make the tables and the accounts."""
        Base.metadata.create_all(self._engine)
        with self._engine.begin() as connection:
            rows = [
                {"id": number, "available_minor": 0, "held_minor": 0, "version": 0}
                for number in range(1, self._accounts + 1)
            ]
            connection.execute(sa.insert(OrmAccount), rows)

    def make_ready(self, posts: int) -> None:
        """Nothing."""

    def post(self, account: int, key: str) -> None:
        """Lock the account, change it, add the movement, commit."""
        with self._sessions.begin() as session:
            _take(session, session.get_one(OrmAccount, account, with_for_update=True), key)

    def post_kind(self, kind: str, account: int, key: str, order: Any) -> Any:
        """Lock the account, change it and the order, add the movement, commit."""
        with self._sessions.begin() as session:
            row = session.get_one(OrmAccount, account, with_for_update=True)
            placed = None
            if kind == ORDER:
                placed = OrmOrder(
                    account_id=account,
                    status="placed",
                    product="sms",
                    quantity=1,
                    amount_minor=AMOUNT_MINOR,
                    reference=REFERENCE,
                    created_at=datetime.now(UTC).replace(tzinfo=None),
                )
                session.add(placed)
                row.held_minor += AMOUNT_MINOR
            elif kind == CANCELLATION:
                cancelled = session.get_one(OrmOrder, order, with_for_update=True)
                if cancelled.status != "placed":
                    raise ValueError("the order cannot be cancelled")
                cancelled.status = "cancelled"
                row.held_minor -= AMOUNT_MINOR
            sign = -1 if kind in (RECHARGE, CANCELLATION) else 1
            _take(session, row, key, kind=kind, amount_minor=sign * AMOUNT_MINOR)
        return None if placed is None else placed.id

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Lock all accounts at once, change them in memory, and let the unit of work write them; one commit."""
        with self._sessions.begin() as session:
            locked = sa.select(OrmAccount).where(OrmAccount.id.in_(set(accounts))).with_for_update()
            by_id = {row.id: row for row in session.scalars(locked)}
            for account, key in zip(accounts, keys, strict=True):
                _take(session, by_id[account], key)

    def leave(self) -> None:
        """Nothing: the pool has the connections."""

    def counters(self) -> dict[str, int]:
        """Count nothing."""
        return {}

    def check(self) -> int:
        """Compare balances and versions with the movements."""
        with self._sessions() as session:
            taken_minor, versions = session.execute(
                sa.select(-sa.func.sum(OrmAccount.available_minor), sa.func.sum(OrmAccount.version))
            ).one()
            moved_minor, movements = session.execute(
                sa.select(sa.func.coalesce(sa.func.sum(OrmMovement.amount_minor), 0), sa.func.count())
            ).one()
            held_minor = session.scalar(sa.select(sa.func.sum(OrmAccount.held_minor)))
            open_minor = session.scalar(
                sa.select(sa.func.coalesce(sa.func.sum(OrmOrder.amount_minor), 0)).where(OrmOrder.status == "placed")
            )
        assert taken_minor == moved_minor and versions == movements and held_minor == open_minor
        return int(movements)

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()


def _take(
    session: Session, account: OrmAccount, key: str, *, kind: str = "deduction", amount_minor: int = AMOUNT_MINOR
) -> None:
    if account.available_minor + CREDIT_MINOR < amount_minor:
        raise ValueError("not enough money")
    account.available_minor -= amount_minor
    account.version += 1
    session.add(
        OrmMovement(
            account_id=account.id,
            version=account.version,
            kind=kind,
            amount_minor=amount_minor,
            available_minor=account.available_minor,
            idempotency_key=key,
            actor="key:key_bench",
            reference=REFERENCE,
            created_at=datetime.now(UTC).replace(tzinfo=None),
        )
    )
