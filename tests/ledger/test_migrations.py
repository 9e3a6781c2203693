"""A log of an earlier schema is brought to the current one with all that it holds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from ledger import migrate, revisions
from ledger.append import Ledger
from ledger.commands import Deduct
from ledger.database import open_engine
from ledger.errors import InsufficientFunds
from ledger.settings import LedgerSettings
from ledger.submission import key_digest
from submissions import Desk, prove, submission

REFUSAL = b'{"code":"insufficient-funds","fields":{"currency":"CNY","needed_minor":5,"spendable_minor":0}}'


@pytest.fixture
def earlier_engine(database_url: str) -> sa.Engine:
    """A database as the first release of the log left it, with the refusal of a deduction of 5 under the key `k1`."""
    engine = open_engine(database_url, LedgerSettings())
    with engine.execution_options(write=True).connect() as connection:
        config = migrate._config("log")
        config.attributes["connection"] = connection
        command.upgrade(config, "log_0001")
        connection.execute(
            sa.text("INSERT INTO outcomes VALUES (:digest, :actor, :key, :fingerprint, :kind, NULL, :refusal, 1)"),
            {
                "digest": key_digest("key:test", "k1"),
                "actor": "key:test",
                "key": b"k1",
                "fingerprint": submission(deduction(), "k1").fingerprint(),
                "kind": "deduction",
                "refusal": REFUSAL,
            },
        )
        connection.commit()
    return engine


def deduction() -> Deduct:
    return Deduct(account_id="cus_1", amount_minor=5, currency="CNY")


@pytest.mark.parametrize("history", revisions.HISTORIES)
def test_the_code_knows_its_migrations_without_what_runs_them(history: str, database_url: str) -> None:
    scripts = ScriptDirectory.from_config(migrate._config(history))
    assert [each.revision for each in scripts.walk_revisions()] == [*reversed(revisions.known(history))]
    assert scripts.get_current_head() == revisions.head(history)
    engine = open_engine(database_url, LedgerSettings())
    with engine.connect() as connection:
        assert revisions.current(connection, history) is None

    migrate.upgrade(database_url)

    with engine.connect() as connection:
        assert revisions.current(connection, history) == revisions.head(history)
    engine.dispose()


def test_outcomes_survive_their_migration_and_stay_append_only(earlier_engine: sa.Engine) -> None:
    url = earlier_engine.url.render_as_string(hide_password=False)

    migrate.upgrade(url)

    desk = Desk(Ledger(earlier_engine, LedgerSettings()), earlier_engine)
    repeat = desk.submit(deduction(), "k1")
    assert repeat.replayed and isinstance(repeat.error, InsufficientFunds)
    desk.open(recharged_minor=7)
    for statement in ("UPDATE outcomes SET kind='x'", "DELETE FROM outcomes"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), earlier_engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert prove(earlier_engine) == 2
    desk.ledger.close()
    earlier_engine.dispose()
