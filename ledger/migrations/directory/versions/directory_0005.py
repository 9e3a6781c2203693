"""Webhooks: subscriptions, how far each is, its last attempts; and below which balance a customer is told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "directory_0005"
down_revision = "directory_0004"

GRANTED = {"admin": ("webhooks.read", "webhooks.write")}


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


def upgrade() -> None:
    op.add_column("customers", sa.Column("low_balance_threshold_minor", sa.BigInteger))
    op.create_table(
        "webhooks",
        sa.Column("id", token(40), primary_key=True),
        sa.Column("url", token(2_000), nullable=False),
        sa.Column("description", human(200)),
        sa.Column("event_types", long_text(), nullable=False),
        sa.Column(
            "customer_id",
            token(40),
            sa.ForeignKey("customers.id", ondelete="CASCADE", name="fk_webhooks_customer_id"),
        ),
        sa.Column("active", sa.SmallInteger, nullable=False),
        sa.Column("secret", token(80), nullable=False),
        sa.Column("previous_secret", token(80)),
        sa.Column("previous_secret_until_us", sa.BigInteger),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("updated_at_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "webhook_progress",
        sa.Column(
            "webhook_id",
            token(40),
            sa.ForeignKey("webhooks.id", ondelete="CASCADE", name="fk_webhook_progress_webhook_id"),
            primary_key=True,
        ),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("parts", sa.SmallInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failing_since_us", sa.BigInteger),
        sa.Column("last_code", token(40)),
        sa.Column("last_delivered_at_us", sa.BigInteger),
        sa.Column("disabled_at_us", sa.BigInteger),
        sa.Column("disabled_reason", token(40)),
        sa.Column("due_at_us", sa.BigInteger, nullable=False),
        sa.Column("ping", token(40)),
        sa.Column("runner", token(40), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_webhook_progress_due_at_us", "webhook_progress", ["due_at_us"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook_id", token(40), primary_key=True),
        sa.Column("id", token(40), primary_key=True),
        sa.Column("message_id", token(80), nullable=False),
        sa.Column("type", token(40), nullable=False),
        sa.Column("position", sa.BigInteger),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("code", token(40), nullable=False),
        sa.Column("status", sa.SmallInteger),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("attempted_at_us", sa.BigInteger, nullable=False),
        sa.Column("next_try_at_us", sa.BigInteger),
    )
    connection = op.get_bind()
    for role, permissions in GRANTED.items():
        (role_id,) = connection.execute(
            sa.text("SELECT id FROM roles WHERE builtin = 1 AND name = :name"), {"name": role}
        ).fetchone() or (None,)
        for permission in permissions if role_id else ():
            values = {"role_id": role_id, "permission": permission}
            has_it = sa.text("SELECT 1 FROM role_permissions WHERE role_id = :role_id AND permission = :permission")
            if connection.execute(has_it, values).fetchone() is None:
                insert = "INSERT INTO role_permissions (role_id, permission) VALUES (:role_id, :permission)"
                connection.execute(sa.text(insert), values)
