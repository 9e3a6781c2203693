"""The tree over the log: hashes of its whole entries, signed checkpoints, and what audits found; all can only be added to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "log_0003"
down_revision = "log_0002"

TABLES = ("tree_hashes", "checkpoints", "verifications")


def upgrade() -> None:
    digest = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
    token = sa.String(16).with_variant(mysql.VARCHAR(16, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    note = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
    op.create_table(
        "tree_hashes",
        sa.Column(
            "level", sa.SmallInteger, primary_key=True, autoincrement=False, comment="1: of 256 events, 2: of 65,536 …"
        ),
        sa.Column("entry", sa.BigInteger, primary_key=True, autoincrement=False, comment="counted from 0"),
        sa.Column("hash", digest, nullable=False, comment="root of the 256 entries below"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False, comment="events that it covers"),
        sa.Column("root", digest, nullable=False),
        sa.Column("note", note, nullable=False, comment="as it was signed"),
        sa.Column("sealed_at_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "verifications",
        sa.Column("finished_at_us", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("status", token, nullable=False, comment="clean, tampered, cannot tell"),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("first_bad_position", sa.BigInteger),
        sa.Column("finding", note),
        sa.Column("seconds", sa.Integer, nullable=False, comment="rounded up"),
    )
    connection = op.get_bind()
    for table in TABLES:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(_trigger(connection.dialect.name, table, verb))


def _trigger(dialect: str, table: str, verb: str) -> str:
    head = f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} FOR EACH ROW"
    message = f"{table} is append-only"
    if dialect == "sqlite":
        return f"{head} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    return f"{head} SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'"
