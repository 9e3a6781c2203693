"""Users who log in, and the sessions of those who do, where the database keeps them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "directory_0002"
down_revision = "directory_0001"

GRANTED = {"admin": ("users.read", "users.write")}


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


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", token(40), primary_key=True),
        sa.Column("username", human(64), nullable=False),
        sa.Column("name", human(200)),
        sa.Column("mobile", token(16)),
        sa.Column(
            "role_id",
            token(40),
            sa.ForeignKey("roles.id", ondelete="RESTRICT", name="fk_users_role_id"),
            nullable=False,
        ),
        sa.Column(
            "customer_id", token(40), sa.ForeignKey("customers.id", ondelete="CASCADE", name="fk_users_customer_id")
        ),
        sa.Column("password_hash", sa.String(200)),
        sa.Column("locale", token(8)),
        sa.Column("active", sa.SmallInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("updated_at_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("username", name="uq_users_username"),
        sa.UniqueConstraint("mobile", name="uq_users_mobile"),
        sa.UniqueConstraint("customer_id", name="uq_users_customer_id"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", binary(32), primary_key=True),
        sa.Column("user_id", token(40), nullable=False),
        sa.Column("ends_at_us", sa.BigInteger, nullable=False),
        sa.Column("data", long_text(), nullable=False),
        sa.Index("ix_sessions_user_id", "user_id"),
        sa.Index("ix_sessions_ends_at_us", "ends_at_us"),
    )
    connection = op.get_bind()
    for role, permissions in GRANTED.items():
        # A role that came ready may have been renamed meanwhile, or been given them by hand.
        (role_id,) = connection.execute(
            sa.text("SELECT id FROM roles WHERE builtin = 1 AND name = :name"), {"name": role}
        ).fetchone() or (None,)
        for permission in permissions if role_id else ():
            values = {"role_id": role_id, "permission": permission}
            has_it = sa.text("SELECT 1 FROM role_permissions WHERE role_id = :role_id AND permission = :permission")
            if connection.execute(has_it, values).fetchone() is None:
                insert = "INSERT INTO role_permissions (role_id, permission) VALUES (:role_id, :permission)"
                connection.execute(sa.text(insert), values)
