"""A backup is whole, consistent while the service writes, and restores into any engine; an erasure leaves nothing behind."""

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import state
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.directory import access, customers, roles, webhooks
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.directory.errors import InUse
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from orderledger import backup as backing_up
from orderledger.backup import BackupRefused, backup, restore
from orderledger.erasure import erase_customer
from servers import PrivateMariaDB
from submissions import Desk, prove

IDLE_S = 2.5
"""Longer than a server allows that ends idle transactions after a second."""
ASKER = Asker(actor="key:test", correlation_id="test")


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    engine = open_engine(ledger_url, LedgerSettings())
    desk = Desk(Ledger(engine, LedgerSettings()), engine)
    yield desk
    desk.ledger.close()
    engine.dispose()


def customer(desk: Desk, name: str) -> str:
    content = {"name": name, "currency": "CNY", "mobile": "+8613812345678"}
    return str(customers.create(Directory(desk.engine), desk.ledger, [content], ASKER)[0]["id"])


def of(url: str) -> dict[str, str]:
    return {"ORDERLEDGER_DATABASE_URL": url}


@pytest.mark.parametrize("target", ["sqlite_url", "mariadb_url"])
def test_a_backup_taken_while_commands_come_restores_to_one_moment_on_any_engine(
    desk: Desk, ledger_url: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    customer_id = customer(desk, "王芳")
    desk.recharge(customer_id, 100_000, details={"memo": "中文"})
    stop = threading.Event()

    def post() -> None:
        while not stop.is_set():
            desk.place(customer_id, 1)

    poster = threading.Thread(target=post)
    poster.start()
    try:
        done = backup(of(ledger_url), tmp_path / "copy")
    finally:
        stop.set()
        poster.join()
    url = f"sqlite:///{tmp_path / 'other.sqlite'}" if target == "sqlite_url" else request.getfixturevalue(target)
    if url == ledger_url:
        url = f"sqlite:///{tmp_path / 'other.sqlite'}"
    upgrade(url)
    restored = restore(of(url), tmp_path / "copy")

    assert restored["position"] == done["position"]
    engine = open_engine(url, LedgerSettings())
    assert prove(engine) == done["position"]
    assert customers.read(Directory(engine), customer_id)["name"] == "王芳"
    again = Desk(Ledger(engine, LedgerSettings()), engine)
    assert again.recharge(customer_id, 1).position == done["position"] + 1
    again.ledger.close()
    engine.dispose()


def test_only_a_whole_backup_restores_and_only_into_empty_databases(
    desk: Desk, ledger_url: str, tmp_path: Path
) -> None:
    customer(desk, "x")
    file, other = tmp_path / "copy", f"sqlite:///{tmp_path / 'other.sqlite'}"
    backup(of(ledger_url), file)
    assert file.stat().st_mode & 0o077 == 0

    with pytest.raises(BackupRefused, match="exists"):
        backup(of(ledger_url), file)
    with pytest.raises(BackupRefused, match="not empty"):
        restore(of(ledger_url), file)
    with pytest.raises(BackupRefused, match="at schema nothing"):
        restore(of(other), file)
    upgrade(other)
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    for damaged in (b"".join(lines[:-1]), b"".join([*lines[:3], *lines[4:]]), b'{"format": "else"}\n'):
        (tmp_path / "damaged").write_bytes(gzip.compress(damaged))
        with pytest.raises(BackupRefused):
            restore(of(other), tmp_path / "damaged")
    (tmp_path / "damaged").write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BackupRefused, match="damaged"):
        restore(of(other), tmp_path / "damaged")
    restore(of(other), file)


@pytest.mark.parametrize("made", ["API key", "role", "change of a role"])
def test_a_directory_that_anybody_has_worked_in_is_not_overwritten(
    desk: Desk, ledger_url: str, tmp_path: Path, made: str
) -> None:
    customer(desk, "x")
    backup(of(ledger_url), tmp_path / "copy")
    other = f"sqlite:///{tmp_path / 'other.sqlite'}"
    upgrade(other)
    engine = open_engine(other, LedgerSettings())
    directory, secret = Directory(engine), ""
    if made == "API key":
        ((_, secret),) = access.create_api_keys(directory, [{"name": "till", "role": "admin"}])
    elif made == "role":
        roles.create(directory, [{"name": "cashier", "permissions": []}])
    else:
        with engine.connect() as connection:
            role_id = connection.exec_driver_sql("SELECT id FROM roles WHERE name='operator'").scalar_one()
        roles.change(directory, role_id, {"permissions": []})

    with pytest.raises(BackupRefused, match="the directory's database is not empty"):
        restore(of(other), tmp_path / "copy")

    assert not secret or access.principal_of(directory, access.secret_hash(secret)) is not None
    engine.dispose()


def test_an_erased_customer_is_found_nowhere_and_every_proof_stays(desk: Desk, ledger_url: str) -> None:
    customer_id, secret = customer(desk, "Zhuge Geheim"), "planted-secret"
    desk.recharge(customer_id, 10_000, details={"memo": secret})
    placed = desk.place(customer_id, details={"params": {"to": secret}})
    with pytest.raises(InUse):
        erase_customer(of(ledger_url), customer_id)
    desk.cancel(placed.order.order_id if placed.order else "")

    position = erase_customer(of(ledger_url), customer_id)

    assert erase_customer(of(ledger_url), customer_id) == position
    assert prove(desk.engine) == position
    with desk.engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            rows = str(connection.exec_driver_sql(f"SELECT * FROM {table}").fetchall())
            for planted in ("Geheim", "13812345678", secret):
                assert planted not in rows, table
        account = state.account(connection, customer_id)
        assert account is not None and account.status == "suspended"


def test_a_file_that_a_backup_is_writing_is_refused_to_a_second_one(
    desk: Desk, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer(desk, "x")
    file, other = tmp_path / "copy", f"sqlite:///{tmp_path / 'other.sqlite'}"
    rows_of, begun = backing_up._rows_of, list[bool]()

    def rows_while_another_begins(connection: sa.Connection, table: sa.Table) -> Iterator[Any]:
        if table.name == "events" and not begun:
            begun.append(True)
            with pytest.raises(BackupRefused, match="another run"):
                backup(of(ledger_url), file)
        yield from rows_of(connection, table)

    monkeypatch.setattr(backing_up, "_rows_of", rows_while_another_begins)

    done = backup(of(ledger_url), file)

    upgrade(other)
    assert begun
    assert restore(of(other), file)["rows"] == done["rows"]
    assert {each.name for each in tmp_path.iterdir() if each.name.startswith("copy")} == {"copy"}


def test_restored_subscriptions_are_no_further_than_the_restored_log(
    desk: Desk, ledger_url: str, tmp_path: Path
) -> None:
    customer_id = customer(desk, "王芳")
    desk.recharge(customer_id, 1)
    # As if it had been delivered to between the two snapshots of log and directory.
    webhooks.create(Directory(desk.engine), [{"url": "https://hooks.example.org/"}], head=1_000)
    done = backup(of(ledger_url), tmp_path / "copy")
    target = f"sqlite:///{tmp_path / 'restored.sqlite'}"
    upgrade(target)

    restore(of(target), tmp_path / "copy")

    engine = open_engine(target, LedgerSettings())
    with engine.connect() as connection:
        position = connection.exec_driver_sql("SELECT position FROM webhook_progress").scalar_one()
    assert position == done["position"] == 2
    engine.dispose()


def test_a_long_backup_and_its_restore_outlast_the_servers_limit_of_idle_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of, lines_of = backing_up._rows_of, backing_up._lines

    def rows_of_a_long_table(connection: sa.Connection, table: sa.Table) -> Iterator[Any]:
        if table.name == "events":
            time.sleep(IDLE_S)
        yield from rows_of(connection, table)

    def lines_of_a_long_file(file: Path) -> Iterator[Any]:
        for line in lines_of(file):
            if line.get("table") == "events":
                time.sleep(IDLE_S)
            yield line

    monkeypatch.setattr(backing_up, "_rows_of", rows_of_a_long_table)
    monkeypatch.setattr(backing_up, "_lines", lines_of_a_long_file)
    with PrivateMariaDB(options={"idle-transaction-timeout": "1"}) as server:
        url, other = server.create_database("ledger"), server.create_database("other")
        upgrade(url)
        upgrade(other)
        engine = open_engine(url, LedgerSettings())
        desk = Desk(Ledger(engine, LedgerSettings()), engine)
        customer_id = customer(desk, "x")
        desk.ledger.close()
        engine.dispose()

        done = backup(of(url), tmp_path / "copy")
        restored = restore(of(other), tmp_path / "copy")

        assert restored["rows"] == done["rows"]
        assert server.execute("SELECT id FROM customers", "other") == [(customer_id,)]
