"""The log, its write-side state, and the triggers that refuse to change history."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "log_0001"
down_revision = None

IMMUTABLE = ("events", "outcomes")
ID_LENGTH, TOKEN_LENGTH, KEY_LENGTH = 40, 80, 255
metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)


def token(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def binary(length: int) -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary(length).with_variant(mysql.BINARY(length), "mysql", "mariadb")


def bytes_up_to(length: int) -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def document() -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


log_head = sa.Table(
    "log_head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False, comment="always 1"),
    sa.Column("position", sa.BigInteger, nullable=False, comment="the last position; its lock orders all writers"),
    sa.Column("recorded_at_us", sa.BigInteger, nullable=False, comment="time of the last event"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column(
        "position",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="place in the log: 1, 2, 3 … without gaps",
    ),
    sa.Column("event_id", binary(16), nullable=False, comment="UUIDv7"),
    sa.Column("account_id", token(ID_LENGTH), nullable=False, comment="the account whose stream this is"),
    sa.Column(
        "version", sa.BigInteger, nullable=False, comment="place in the account's stream: 1, 2, 3 … without gaps"
    ),
    sa.Column("type", token(40), nullable=False),
    sa.Column("schema_version", sa.SmallInteger, nullable=False),
    sa.Column("order_id", token(ID_LENGTH), comment="the order concerned"),
    sa.Column("actor", token(TOKEN_LENGTH), nullable=False, comment="who asked: key:…, user:…, agent"),
    sa.Column("idempotency_key", bytes_up_to(KEY_LENGTH), nullable=False),
    sa.Column("correlation_id", token(TOKEN_LENGTH), nullable=False, comment="the request"),
    sa.Column("causation_id", token(TOKEN_LENGTH), comment="what led to the request"),
    sa.Column("recorded_at_us", sa.BigInteger, nullable=False),
    sa.Column(
        "available_minor", sa.BigInteger, nullable=False, comment="the account's available money after the event"
    ),
    sa.Column("held_minor", sa.BigInteger, nullable=False, comment="the account's held money after the event"),
    sa.Column("details_hash", binary(32), comment="commitment to the erasable text in details"),
    sa.Column("data", document(), nullable=False, comment="canonical JSON, as hashed"),
    sa.Column("postings", document(), nullable=False, comment="canonical JSON, as hashed; sums to zero"),
    sa.Column("leaf_hash", binary(32), nullable=False),
    sa.UniqueConstraint("event_id"),
    sa.UniqueConstraint("account_id", "version"),
    sa.Index(None, "order_id"),
)

details = sa.Table(
    "details",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("salt", binary(16), nullable=False),
    sa.Column("details", document(), nullable=False, comment="canonical JSON of memo, params or reason; erasable"),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account_id", token(ID_LENGTH), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("currency", token(3), nullable=False),
    sa.Column("status", token(16), nullable=False),
    sa.Column("level_id", token(ID_LENGTH)),
    sa.Column("discount_percent", token(8), nullable=False),
    sa.Column("credit_limit_minor", sa.BigInteger, nullable=False),
    sa.Column("available_minor", sa.BigInteger, nullable=False),
    sa.Column("held_minor", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False, comment="of the account's last event"),
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("order_id", token(ID_LENGTH), primary_key=True),
    sa.Column("account_id", token(ID_LENGTH), nullable=False),
    sa.Column("status", token(16), nullable=False),
    sa.Column("product", token(64), nullable=False),
    sa.Column("quantity", sa.BigInteger, nullable=False),
    sa.Column("unit_price", token(24), nullable=False),
    sa.Column("list_amount_minor", sa.BigInteger, nullable=False),
    sa.Column("discount_percent", token(8), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", token(3), nullable=False),
    sa.Column("reference", bytes_up_to(400)),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("executor", token(40)),
    sa.Column("delivered", sa.BigInteger, nullable=False),
    sa.Column("captured_minor", sa.BigInteger, nullable=False),
    sa.Column("released_minor", sa.BigInteger, nullable=False),
    sa.Column("code", token(TOKEN_LENGTH)),
    sa.Column("placed_position", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False, comment="of the order's last event"),
    sa.Index(None, "status", "placed_position"),
)

reversals = sa.Table(
    "reversals",
    metadata,
    sa.Column("reverses_position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, nullable=False),
)

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column(
        "key_digest", binary(32), primary_key=True, comment="SHA-256 over actor, a zero byte, and the idempotency key"
    ),
    sa.Column("actor", token(TOKEN_LENGTH), nullable=False),
    sa.Column("idempotency_key", bytes_up_to(KEY_LENGTH), nullable=False),
    sa.Column("fingerprint", binary(32), nullable=False, comment="SHA-256 over the canonical JSON of what was asked"),
    sa.Column("kind", token(24), nullable=False, comment="the kind of command"),
    sa.Column("position", sa.BigInteger, comment="of the event; none: refused, or already so"),
    sa.Column("refusal", document(), comment="canonical JSON of code and fields, when refused"),
    sa.Column("recorded_at_us", sa.BigInteger, nullable=False),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("order_id", token(ID_LENGTH), primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False, comment="the attempt the lease belongs to"),
    sa.Column("runner", token(TOKEN_LENGTH), nullable=False),
    sa.Column("lease_until_us", sa.BigInteger, nullable=False),
    sa.Column("due_at_us", sa.BigInteger, nullable=False, comment="when the order wants its next step"),
    sa.Column("calls", sa.Integer, nullable=False, comment="calls to the executor in this and earlier attempts"),
    sa.Column("last_code", token(TOKEN_LENGTH), comment="what the last call came to"),
    sa.Index(None, "due_at_us"),
)

cancellation_requests = sa.Table(
    "cancellation_requests",
    metadata,
    sa.Column("key_digest", binary(32), primary_key=True, comment="as in outcomes: the command that asked"),
    sa.Column("order_id", token(ID_LENGTH), nullable=False),
    sa.Column("actor", token(TOKEN_LENGTH), nullable=False),
    sa.Column("idempotency_key", bytes_up_to(KEY_LENGTH), nullable=False),
    sa.Column("correlation_id", token(TOKEN_LENGTH), nullable=False),
    sa.Column("details", document(), comment="canonical JSON of the reason"),
    sa.Column("requested_at_us", sa.BigInteger, nullable=False),
    sa.Index(None, "order_id"),
)


def upgrade() -> None:
    connection = op.get_bind()
    # All of it, whatever is there: an upgrade that was interrupted between a table and its indexes is run again.
    metadata.create_all(connection, checkfirst=connection.dialect.name == "sqlite")
    # The triggers below commit it on MariaDB and MySQL: an interrupted upgrade may have got that far.
    if connection.execute(sa.select(log_head.c.id)).first() is None:
        connection.execute(sa.insert(log_head).values(id=1, position=0, recorded_at_us=0))
    for table in IMMUTABLE:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(_trigger(connection.dialect.name, table, verb))


def _trigger(dialect: str, table: str, verb: str) -> str:
    head = f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} FOR EACH ROW"
    message = f"{table} is append-only"
    if dialect == "sqlite":
        return f"{head} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    return f"{head} SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'"
