"""The outcome of an accepted command says no more than where its event is: the event knows who asked, what and when."""

from alembic import op

revision = "log_0002"
down_revision = "log_0001"

MYSQL = """ALTER TABLE outcomes
    MODIFY actor VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'who asked, unless an event says it',
    MODIFY idempotency_key VARBINARY(255) NULL COMMENT 'unless an event says it',
    MODIFY kind VARCHAR(24) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'of command, unless an event says it',
    MODIFY recorded_at_us BIGINT NULL COMMENT 'unless an event says it'"""
COLUMNS = "key_digest, actor, idempotency_key, fingerprint, kind, position, refusal, recorded_at_us"
# SQLite cannot change a column: the table is made anew beside the old one.
SQLITE = (
    "ALTER TABLE outcomes RENAME TO outcomes_before",
    """CREATE TABLE outcomes (key_digest BLOB NOT NULL, actor VARCHAR(80), idempotency_key BLOB, fingerprint BLOB NOT NULL,
        kind VARCHAR(24), position BIGINT, refusal BLOB, recorded_at_us BIGINT, PRIMARY KEY (key_digest))""",
    f"INSERT INTO outcomes ({COLUMNS}) SELECT {COLUMNS} FROM outcomes_before",
    "DROP TRIGGER outcomes_refuse_update",
    "DROP TRIGGER outcomes_refuse_delete",
    "DROP TABLE outcomes_before",
    """CREATE TRIGGER outcomes_refuse_update BEFORE UPDATE ON outcomes FOR EACH ROW
        BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END""",
    """CREATE TRIGGER outcomes_refuse_delete BEFORE DELETE ON outcomes FOR EACH ROW
        BEGIN SELECT RAISE(ABORT, 'outcomes is append-only'); END""",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in SQLITE if connection.dialect.name == "sqlite" else (MYSQL,):
        connection.exec_driver_sql(statement)
