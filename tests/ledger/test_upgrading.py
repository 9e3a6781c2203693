"""The schema changes under a service that goes on; what is interrupted is run again; one upgrade at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from ledger import migrate
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.migrate import upgrade
from ledger.revisions import fits, head
from ledger.settings import LedgerSettings
from ledger.upgrading import LOCK_WAIT_S, TableInUse, UpgradeRunning, careful, say_works_with, upgrading
from servers import PrivateMariaDB
from submissions import Desk, prove


@pytest.fixture
def engine(mariadb_ledger_url: str) -> Iterator[sa.Engine]:
    engine = open_engine(mariadb_ledger_url, LedgerSettings())
    yield engine
    engine.dispose()


def test_a_statement_that_waits_for_a_table_lets_the_commands_behind_it_through(
    engine: sa.Engine, mariadb_ledger_url: str
) -> None:
    desk = Desk(Ledger(engine, LedgerSettings()), engine)
    account_id = desk.open(recharged_minor=100)
    migrating = open_engine(mariadb_ledger_url, migrate.MIGRATING)
    said: list[str] = []
    careful(migrating, said.append)
    longest_s, posted = 0.0, 0
    stop = threading.Event()

    def post() -> None:
        nonlocal longest_s, posted
        while not stop.is_set():
            started_s = time.monotonic()
            assert desk.recharge(account_id, 1).error is None
            longest_s = max(longest_s, time.monotonic() - started_s)
            posted += 1

    def expand() -> None:
        with migrating.connect() as connection:
            connection.exec_driver_sql("ALTER TABLE accounts ADD COLUMN note VARCHAR(10)")

    poster, expander = threading.Thread(target=post), threading.Thread(target=expand)
    with engine.connect() as holder:
        holder.execute(sa.text("SELECT COUNT(*) FROM accounts"))
        poster.start()
        expander.start()
        time.sleep(3 * LOCK_WAIT_S)
        posted_meanwhile = posted
        assert expander.is_alive()
        holder.rollback()
    expander.join(30)
    stop.set()
    poster.join()
    desk.ledger.close()
    migrating.dispose()

    assert any("in use" in each for each in said)
    assert "note" in [each["name"] for each in sa.inspect(engine).get_columns("accounts")]
    assert posted_meanwhile > 20
    assert longest_s < LOCK_WAIT_S + 3
    prove(engine)


def test_a_table_that_is_never_free_ends_the_upgrade_with_what_to_do(
    engine: sa.Engine, mariadb_ledger_url: str
) -> None:
    migrating = open_engine(mariadb_ledger_url, migrate.MIGRATING)
    careful(migrating, lambda _: None, tries_max=1)
    with engine.connect() as holder, migrating.connect() as connection:
        holder.execute(sa.text("SELECT COUNT(*) FROM accounts"))

        with pytest.raises(TableInUse, match="end long database transactions"):
            connection.exec_driver_sql("ALTER TABLE accounts ADD COLUMN note VARCHAR(10)")
    migrating.dispose()


def test_one_upgrade_at_a_time(engine: sa.Engine) -> None:
    with upgrading(engine, "log") as was_interrupted:
        assert was_interrupted is False
        with pytest.raises(UpgradeRunning, match="is upgrading the log"), upgrading(engine, "log", wait_s=0.2):
            pass

    with pytest.raises(ZeroDivisionError), upgrading(engine, "log"):
        raise ZeroDivisionError

    with upgrading(engine, "log", wait_s=0.2) as was_interrupted:
        assert was_interrupted is True


@pytest.mark.parametrize("statements", [1, 6, 13, 15, 16, 17, 18, 21])
def test_an_upgrade_that_was_interrupted_is_run_again(
    statements: int, mariadb: PrivateMariaDB, mariadb_url: str, migrated_mariadb: str
) -> None:
    said = 0

    def say(_: str) -> None:
        nonlocal said
        said += 1
        if said > statements:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        upgrade(mariadb_url, say=say)

    upgrade(mariadb_url)

    name = sa.make_url(mariadb_url).database
    for table in [row[0] for row in mariadb.execute("SHOW TABLES", migrated_mariadb)]:
        here, wanted = (definition(mariadb, table, each) for each in (name, migrated_mariadb))
        assert here == wanted
    count = "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = '{}'"
    assert mariadb.execute(count.format(name)) == mariadb.execute(count.format(migrated_mariadb))
    roles = "SELECT name, permission FROM roles JOIN role_permissions ON role_id = roles.id ORDER BY 1, 2"
    assert mariadb.execute(roles, name) == mariadb.execute(roles, migrated_mariadb)
    assert mariadb.execute("SELECT id, position FROM log_head", name) == [(1, 0)]


def definition(mariadb: PrivateMariaDB, table: str, database: str | None) -> list[str]:
    """A table's columns and indexes; the order in which indexes were made is nobody's business."""
    shown: str = mariadb.execute(f"SHOW CREATE TABLE `{table}`", database)[0][1]
    return sorted(line.rstrip(",") for line in shown.splitlines())


def test_code_of_before_works_with_a_newer_schema_that_says_so(engine: sa.Engine) -> None:
    wanted = head("log")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version_log SET version_num = 'log_9999'")
    with engine.connect() as connection:
        # What was said of an older schema says nothing of this one.
        assert not fits(connection, "log", wanted)

    say_works_with(engine, "log", "log_9999", wanted)
    with engine.connect() as connection:
        assert fits(connection, "log", wanted)
    say_works_with(engine, "log", "log_9999", "log_9999")
    with engine.connect() as connection:
        assert not fits(connection, "log", wanted)
