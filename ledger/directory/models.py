"""The directory's tables. They may live in a database of their own, so nothing here refers to the log's tables.

Every object has a `revision` that each change raises; it is the object's ETag. Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from ledger.schema import ID_LENGTH, TOKEN_LENGTH, binary, token

NAME_LENGTH = 200
URL_LENGTH = 2_000
SECRET_LENGTH = 80


def human(length: int) -> sa.types.TypeEngine[str]:
    """Return the type of text in any script, compared exactly."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def long_text() -> sa.types.TypeEngine[str]:
    """Return the type of JSON text kept as it is."""
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(exact, "mysql", "mariadb")


class Base(DeclarativeBase):
    """The root of the directory's tables."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        }
    )


class Versioned:
    """Columns that every object has."""

    revision: Mapped[int] = mapped_column(sa.Integer, default=1)
    created_at_us: Mapped[int] = mapped_column(sa.BigInteger)
    updated_at_us: Mapped[int] = mapped_column(sa.BigInteger)


class Level(Versioned, Base):
    """A customer level: `discount_hundredths` is what is paid, in hundredths of a percent."""

    __tablename__ = "levels"
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(human(NAME_LENGTH), unique=True)
    discount_hundredths: Mapped[int] = mapped_column(sa.Integer)


class Customer(Versioned, Base):
    """A customer. `in_step`: the account in the log is as this row wants it; see ledger.directory.customers."""

    __tablename__ = "customers"
    __table_args__ = (sa.Index(None, "level_id"), sa.Index(None, "in_step"), sa.Index(None, "name"))
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(human(NAME_LENGTH))
    mobile: Mapped[str | None] = mapped_column(human(32))
    contact: Mapped[str | None] = mapped_column(human(NAME_LENGTH))
    level_id: Mapped[str | None] = mapped_column(sa.ForeignKey("levels.id", ondelete="RESTRICT"))
    status: Mapped[str] = mapped_column(token(16))
    credit_limit_minor: Mapped[int] = mapped_column(sa.BigInteger)
    low_balance_threshold_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    currency: Mapped[str] = mapped_column(token(3))
    in_step: Mapped[bool] = mapped_column(sa.SmallInteger)
    level: Mapped[Level | None] = relationship(lazy="raise")


class Product(Versioned, Base):
    """A product: `unit_price_micro` in millionths of the currency's major unit; tiers and settings as JSON text."""

    __tablename__ = "products"
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    sku: Mapped[str] = mapped_column(token(64), unique=True)
    name: Mapped[str] = mapped_column(human(NAME_LENGTH))
    unit_price_micro: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str] = mapped_column(token(3))
    tiers: Mapped[str] = mapped_column(long_text())
    min_quantity: Mapped[int] = mapped_column(sa.BigInteger)
    max_quantity: Mapped[int] = mapped_column(sa.BigInteger)
    executor: Mapped[str] = mapped_column(token(40))
    executor_settings: Mapped[str] = mapped_column(long_text())
    active: Mapped[bool] = mapped_column(sa.SmallInteger)


class Role(Versioned, Base):
    """A role: a named set of permissions, and `menu`, a tree of its own as JSON text (see ledger.directory.menus)."""

    __tablename__ = "roles"
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(human(64), unique=True)
    builtin: Mapped[bool] = mapped_column(sa.SmallInteger)
    menu: Mapped[str | None] = mapped_column(long_text())
    permissions: Mapped[list[RolePermission]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class RolePermission(Base):
    """One permission of a role."""

    __tablename__ = "role_permissions"
    role_id: Mapped[str] = mapped_column(sa.ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)
    permission: Mapped[str] = mapped_column(token(64), primary_key=True)


class ApiKey(Versioned, Base):
    """A machine client's key; only the hash of its secret is kept. With a customer it sees that customer only."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    name: Mapped[str] = mapped_column(human(NAME_LENGTH))
    secret_hash: Mapped[bytes] = mapped_column(binary(32), unique=True)
    role_id: Mapped[str] = mapped_column(sa.ForeignKey("roles.id", ondelete="RESTRICT"))
    customer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("customers.id", ondelete="CASCADE"))
    active: Mapped[bool] = mapped_column(sa.SmallInteger)
    role: Mapped[Role] = relationship(lazy="raise")
    customer: Mapped[Customer | None] = relationship(lazy="raise", passive_deletes=True)


class User(Versioned, Base):
    """A person who logs in, by `username` (folded) and password or by `mobile` and a code; a customer has one at most.

    `epoch` is raised to end all of the user's sessions.
    """

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    username: Mapped[str] = mapped_column(human(64), unique=True)
    name: Mapped[str | None] = mapped_column(human(NAME_LENGTH))
    mobile: Mapped[str | None] = mapped_column(token(16), unique=True)
    role_id: Mapped[str] = mapped_column(sa.ForeignKey("roles.id", ondelete="RESTRICT"))
    customer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("customers.id", ondelete="CASCADE"), unique=True)
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    locale: Mapped[str | None] = mapped_column(token(8))
    active: Mapped[bool] = mapped_column(sa.SmallInteger)
    epoch: Mapped[int] = mapped_column(sa.Integer)
    role: Mapped[Role] = relationship(lazy="raise")
    customer: Mapped[Customer | None] = relationship(lazy="raise", passive_deletes=True)


class Webhook(Versioned, Base):
    """A subscription to what happens: where messages go, `event_types` as a JSON list (empty: all), with a customer of
    that customer only. The secret signs, so it is kept as it is; the one before it until its time is over.
    """

    __tablename__ = "webhooks"
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    url: Mapped[str] = mapped_column(token(URL_LENGTH))
    description: Mapped[str | None] = mapped_column(human(NAME_LENGTH))
    event_types: Mapped[str] = mapped_column(long_text())
    customer_id: Mapped[str | None] = mapped_column(sa.ForeignKey("customers.id", ondelete="CASCADE"))
    active: Mapped[bool] = mapped_column(sa.SmallInteger)
    secret: Mapped[str] = mapped_column(token(SECRET_LENGTH))
    previous_secret: Mapped[str | None] = mapped_column(token(SECRET_LENGTH))
    previous_secret_until_us: Mapped[int | None] = mapped_column(sa.BigInteger)
    customer: Mapped[Customer | None] = relationship(lazy="raise", passive_deletes=True)
    progress: Mapped[WebhookProgress] = relationship(lazy="joined", innerjoin=True, cascade="all, delete-orphan")


class WebhookProgress(Base):
    """How far a subscription is, beside it, so that delivering changes no revision: `position` is the last one that is
    done with, `parts` how many messages of the next one are delivered. `runner`, `fence` and `lease_until_us` are the
    claim of who delivers; every claim raises the fence, and so does whoever replays, enables, pauses or moves it.
    """

    __tablename__ = "webhook_progress"
    __table_args__ = (sa.Index(None, "due_at_us"),)
    webhook_id: Mapped[str] = mapped_column(sa.ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(sa.BigInteger)
    parts: Mapped[int] = mapped_column(sa.SmallInteger)
    failures: Mapped[int] = mapped_column(sa.Integer)
    failing_since_us: Mapped[int | None] = mapped_column(sa.BigInteger)
    last_code: Mapped[str | None] = mapped_column(token(40))
    last_delivered_at_us: Mapped[int | None] = mapped_column(sa.BigInteger)
    disabled_at_us: Mapped[int | None] = mapped_column(sa.BigInteger)
    disabled_reason: Mapped[str | None] = mapped_column(token(40))
    due_at_us: Mapped[int] = mapped_column(sa.BigInteger)
    ping: Mapped[str | None] = mapped_column(token(ID_LENGTH))
    runner: Mapped[str] = mapped_column(token(ID_LENGTH))
    fence: Mapped[int] = mapped_column(sa.BigInteger)
    lease_until_us: Mapped[int] = mapped_column(sa.BigInteger)


class WebhookDelivery(Base):
    """One attempt to deliver a message; the last ones of each subscription are kept.

    No foreign key: whoever records attempts holds the lock of their subscription's progress.
    """

    __tablename__ = "webhook_deliveries"
    webhook_id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    id: Mapped[str] = mapped_column(token(ID_LENGTH), primary_key=True)
    message_id: Mapped[str] = mapped_column(token(TOKEN_LENGTH))
    type: Mapped[str] = mapped_column(token(40))
    position: Mapped[int | None] = mapped_column(sa.BigInteger)
    attempt: Mapped[int] = mapped_column(sa.Integer)
    code: Mapped[str] = mapped_column(token(40))
    status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    duration_ms: Mapped[int] = mapped_column(sa.Integer)
    attempted_at_us: Mapped[int] = mapped_column(sa.BigInteger)
    next_try_at_us: Mapped[int | None] = mapped_column(sa.BigInteger)


class UserSession(Base):
    """A session, where the database keeps them: the hash of its id, and the rest as JSON."""

    __tablename__ = "sessions"
    __table_args__ = (sa.Index(None, "user_id"), sa.Index(None, "ends_at_us"))
    digest: Mapped[bytes] = mapped_column(binary(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(token(ID_LENGTH))
    ends_at_us: Mapped[int] = mapped_column(sa.BigInteger)
    data: Mapped[str] = mapped_column(long_text())


class DirectoryState(Base):
    """One row: `name_changes` counts the changes of customer names, so that readers know when to read them again."""

    __tablename__ = "directory_state"
    id: Mapped[int] = mapped_column(sa.SmallInteger, primary_key=True, autoincrement=False)
    name_changes: Mapped[int] = mapped_column(sa.BigInteger)
