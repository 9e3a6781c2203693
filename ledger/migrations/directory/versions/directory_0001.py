"""The directory: levels, customers, products, roles and API keys, with the roles that come ready."""

import time

import sqlalchemy as sa
import uuid_utils
from alembic import op
from sqlalchemy.dialects import mysql

revision = "directory_0001"
down_revision = None

ROLES = {
    "admin": (
        "api_keys.read",
        "api_keys.write",
        "balances.read",
        "batches.post",
        "commands.read",
        "customers.delete",
        "customers.read",
        "customers.write",
        "deductions.post",
        "events.read",
        "levels.read",
        "levels.write",
        "orders.cancel",
        "orders.place",
        "orders.read",
        "orders.resolve",
        "products.read",
        "products.write",
        "recharges.post",
        "roles.read",
        "roles.write",
        "statements.read",
        "transactions.read",
        "transactions.reverse",
        "trial_balance.read",
    ),
    "operator": (
        "balances.read",
        "batches.post",
        "commands.read",
        "customers.delete",
        "customers.read",
        "customers.write",
        "deductions.post",
        "levels.read",
        "levels.write",
        "orders.cancel",
        "orders.place",
        "orders.read",
        "orders.resolve",
        "products.read",
        "products.write",
        "recharges.post",
        "statements.read",
        "transactions.read",
        "transactions.reverse",
        "trial_balance.read",
    ),
    "auditor": (
        "balances.read",
        "commands.read",
        "customers.read",
        "events.read",
        "levels.read",
        "orders.read",
        "products.read",
        "roles.read",
        "statements.read",
        "transactions.read",
        "trial_balance.read",
    ),
    "customer": (
        "balances.read",
        "batches.post",
        "commands.read",
        "orders.cancel",
        "orders.place",
        "orders.read",
        "products.read",
        "statements.read",
        "transactions.read",
    ),
}


def token(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def human(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def long_text() -> sa.types.TypeEngine[str]:
    exact = mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin")
    return sa.Text().with_variant(exact, "mysql", "mariadb")


def binary(length: int) -> sa.types.TypeEngine[bytes]:
    return sa.LargeBinary(length).with_variant(mysql.BINARY(length), "mysql", "mariadb")


def versioned() -> list[sa.Column[int]]:
    return [
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("updated_at_us", sa.BigInteger, nullable=False),
    ]


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

levels = sa.Table(
    "levels",
    metadata,
    sa.Column("id", token(40), primary_key=True),
    sa.Column("name", human(200), nullable=False, unique=True),
    sa.Column("discount_hundredths", sa.Integer, nullable=False),
    *versioned(),
)

customers = sa.Table(
    "customers",
    metadata,
    sa.Column("id", token(40), primary_key=True),
    sa.Column("name", human(200), nullable=False),
    sa.Column("mobile", human(32)),
    sa.Column("contact", human(200)),
    sa.Column("level_id", token(40), sa.ForeignKey("levels.id", ondelete="RESTRICT")),
    sa.Column("status", token(16), nullable=False),
    sa.Column("credit_limit_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", token(3), nullable=False),
    sa.Column("in_step", sa.SmallInteger, nullable=False),
    *versioned(),
    sa.Index(None, "level_id"),
    sa.Index(None, "in_step"),
    sa.Index(None, "name"),
)

products = sa.Table(
    "products",
    metadata,
    sa.Column("id", token(40), primary_key=True),
    sa.Column("sku", token(64), nullable=False, unique=True),
    sa.Column("name", human(200), nullable=False),
    sa.Column("unit_price_micro", sa.BigInteger, nullable=False),
    sa.Column("currency", token(3), nullable=False),
    sa.Column("tiers", long_text(), nullable=False),
    sa.Column("min_quantity", sa.BigInteger, nullable=False),
    sa.Column("max_quantity", sa.BigInteger, nullable=False),
    sa.Column("executor", token(40), nullable=False),
    sa.Column("executor_settings", long_text(), nullable=False),
    sa.Column("active", sa.SmallInteger, nullable=False),
    *versioned(),
)

roles = sa.Table(
    "roles",
    metadata,
    sa.Column("id", token(40), primary_key=True),
    sa.Column("name", human(64), nullable=False, unique=True),
    sa.Column("builtin", sa.SmallInteger, nullable=False),
    *versioned(),
)

role_permissions = sa.Table(
    "role_permissions",
    metadata,
    sa.Column("role_id", token(40), sa.ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("permission", token(64), primary_key=True),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", token(40), primary_key=True),
    sa.Column("name", human(200), nullable=False),
    sa.Column("secret_hash", binary(32), nullable=False, unique=True),
    sa.Column("role_id", token(40), sa.ForeignKey("roles.id", ondelete="RESTRICT"), nullable=False),
    sa.Column("customer_id", token(40), sa.ForeignKey("customers.id", ondelete="CASCADE")),
    sa.Column("active", sa.SmallInteger, nullable=False),
    *versioned(),
)

directory_state = sa.Table(
    "directory_state",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("name_changes", sa.BigInteger, nullable=False),
)


def upgrade() -> None:
    connection = op.get_bind()
    # All of it, whatever is there: an upgrade that was interrupted between a table and its indexes is run again.
    metadata.create_all(connection, checkfirst=connection.dialect.name == "sqlite")
    now_us = time.time_ns() // 1_000
    connection.execute(sa.insert(directory_state).values(id=1, name_changes=0))
    for name, permissions in ROLES.items():
        role_id = f"rol_{uuid_utils.uuid7().hex}"
        stamps = {"revision": 1, "created_at_us": now_us, "updated_at_us": now_us}
        connection.execute(sa.insert(roles).values(id=role_id, name=name, builtin=1, **stamps))
        granted = [{"role_id": role_id, "permission": permission} for permission in permissions]
        connection.execute(sa.insert(role_permissions), granted)
