"""The restore drill: copies taken while commands come, servers that are gone, and a service that goes on from what was kept."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ledger.append import Ledger
from ledger.commands import Recharge
from ledger.database import open_engine
from ledger.directory import customers
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.migrate import upgrade
from ledger.proofs.notes import SigningKey
from ledger.proofs.sealing import seal
from ledger.proofs.signer import Signer, SigningRefused, read_keys, state_of, write_key
from ledger.settings import LedgerSettings
from orderledger import read_models
from projections.wake import PROJECTIONS
from server_programs import find_program
from servers import PrivateMariaDB
from submissions import Desk, prove, submission

ROOT = Path(__file__).parents[2]
NAME = "example.org/drill"
EVENTS = int(os.environ.get("DRILL_EVENTS", "5000"))
"""More of them for figures."""


def shipped() -> dict[str, str]:
    """The settings of deploy/mariadb.cnf, with a small buffer pool."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "deploy" / "mariadb.cnf")
    return {
        **{name.replace("_", "-"): value for name, value in settings["mariadbd"].items()},
        "innodb-buffer-pool-size": "64M",
    }


def tool(server: PrivateMariaDB, program: str, *arguments: str, **more: object) -> subprocess.CompletedProcess[bytes]:
    reach = [f"--socket={server.socket}", "--user=root"] if program != "mariadb-binlog" else []
    found, needed = find_program(program)
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [found, *reach, *arguments],
        env={**os.environ, **needed},
        check=True,
        capture_output=True,
        timeout=110,
        **more,
    )


def settings_of(url: str, redis_url: str, data: Path) -> dict[str, str]:
    return {
        "ORDERLEDGER_DATABASE_URL": url,
        "ORDERLEDGER_REDIS_URL": redis_url,
        "ORDERLEDGER_DATA": str(data),
        "ORDERLEDGER_SIGNING_KEY_FILE": str(data / "key"),
    }


def orderledger(url: str, redis_url: str, data: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "orderledger", *arguments],
        env={**os.environ, **settings_of(url, redis_url, data), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def desk_at(url: str) -> Iterator[Desk]:
    engine = open_engine(url, LedgerSettings())
    desk = Desk(Ledger(engine, LedgerSettings()), engine)
    yield desk
    desk.ledger.close()
    engine.dispose()


def make_customer(desk: Desk, name: str) -> str:
    content = {"name": name, "currency": "CNY"}
    asker = Asker(actor="key:test", correlation_id="test")
    (made,) = customers.create(Directory(desk.engine), desk.ledger, [content], asker)
    return str(made["id"])


def fill(desk: Desk, account_id: str) -> str:
    """Recharge EVENTS times, order twice and cancel the first; return the second order."""
    for _ in range(0, EVENTS, 1_000):
        recharges = [Recharge(account_id=account_id, amount_minor=1, currency="CNY") for _ in range(1_000)]
        desk.ledger.append_batch([submission(each) for each in recharges], atomic=False)
    first, second = (desk.place(account_id).order for _ in range(2))
    assert first is not None and second is not None
    assert desk.cancel(first.order_id).error is None
    return second.order_id


def kept(desk: Desk) -> dict[str, list[Any]]:
    """Return the customers, and how their orders stand."""
    return {
        "customers": desk.rows("SELECT id, name FROM customers ORDER BY id"),
        "orders": desk.rows("SELECT order_id, status FROM orders ORDER BY order_id"),
    }


def rebuild_and_compare(environment: dict[str, str], position: int) -> None:
    """Do what the commands `projections rebuild` and `projections diff` do, in this process to save their starts."""
    for name in PROJECTIONS:
        assert read_models.rebuild(environment, name) == position
        found = read_models.diff(environment, name)
        assert (found["position"], found["differences"]) == (position, ())
        assert found["keys"] > 0


@contextmanager
def posting(desk: Desk, account_id: str) -> Iterator[list[int]]:
    """Post all the time, and collect the positions that were answered."""
    answered: list[int] = []
    stop = threading.Event()

    def post() -> None:
        while not stop.is_set():
            answered.append(desk.recharge(account_id, 1).position)

    poster = threading.Thread(target=post)
    poster.start()
    try:
        yield answered
    finally:
        stop.set()
        poster.join()


@pytest.mark.timeout(300)
def test_a_dump_and_the_binary_log_bring_back_every_commit(redis_url: str, tmp_path: Path) -> None:
    write_key(tmp_path / "key", SigningKey.make(NAME))
    verifier = str(read_keys(tmp_path / "key")[0].verifier)
    with PrivateMariaDB(binlog=True, options=shipped()) as server:
        url = server.create_database("ledger")
        upgrade(url)
        with desk_at(url) as desk:
            account_id = make_customer(desk, "王芳")
            order_id = fill(desk, account_id)
            assert seal(desk.engine, Signer(tmp_path / "key")) is not None

            with posting(desk, account_id) as answered:
                time.sleep(0.5)
                started_s = time.monotonic()
                dump = tool(
                    server,
                    "mariadb-dump",
                    "--single-transaction",
                    "--master-data=2",
                    "--gtid",
                    "--triggers",
                    "--hex-blob",
                    "ledger",
                ).stdout
                dumped_s = time.monotonic() - started_s
                assert seal(desk.engine, Signer(tmp_path / "key")) is not None
                # From here on in the binary log alone.
                make_customer(desk, "李雷")
                late = desk.cancel(order_id)
                time.sleep(0.5)
            assert seal(desk.engine, Signer(tmp_path / "key")) is not None
            last = max(*answered, late.position)
            at_last = kept(desk)
        server.kill()
        for binlog in (server.directory / "data").glob("binlog.[0-9]*"):
            shutil.copy(binlog, tmp_path)

    # The times of what is replayed are to be those of then: not with secure_timestamp=YES.
    with PrivateMariaDB(binlog=True, options=shipped() | {"secure-timestamp": "SUPER"}) as server:
        url = server.create_database("ledger")
        place = re.search(rb"MASTER_LOG_FILE='([^']+)', MASTER_LOG_POS=(\d+)", dump)
        assert place is not None
        first = place[1].decode()
        started_s = time.monotonic()
        tool(server, "mariadb", "ledger", input=dump)
        with desk_at(url) as desk:
            before = prove(desk.engine)
            assert EVENTS < before < last
        binlogs = sorted(str(each) for each in tmp_path.glob("binlog.[0-9]*") if each.name >= first)
        replay = tool(
            server, "mariadb-binlog", f"--start-position={int(place[2])}", "--database=ledger", *binlogs
        ).stdout
        tool(server, "mariadb", "--binary-mode", input=replay)
        restored_s = time.monotonic() - started_s

        with desk_at(url) as desk:
            assert prove(desk.engine) == last
            assert kept(desk) == at_last
            assert {each["name"] for each in at_last["customers"]} == {"王芳", "李雷"}
            assert [each["status"] for each in at_last["orders"]] == ["cancelled", "cancelled"]
            verified = json.loads(orderledger(url, redis_url, tmp_path, "audit", "verify", "--key", verifier, "--json"))
            assert (verified["status"], verified["events"]) == ("clean", last)
            rebuild_and_compare(settings_of(url, redis_url, tmp_path), last)
            assert desk.recharge(account_id, 1).position == last + 1
            sealed = seal(desk.engine, Signer(tmp_path / "key"))
            assert sealed is not None and sealed.size == last + 1
    print(f"{before} events dumped in {dumped_s:.1f} s, {last} restored and replayed in {restored_s:.1f} s")


@pytest.mark.timeout(300)
def test_an_older_copy_is_restored_but_not_signed_for_until_a_person_says_so(redis_url: str, tmp_path: Path) -> None:
    write_key(tmp_path / "key", SigningKey.make(NAME))
    verifier = str(read_keys(tmp_path / "key")[0].verifier)
    with PrivateMariaDB(binlog=True, options=shipped()) as server:
        url = server.create_database("ledger")
        upgrade(url)
        with desk_at(url) as desk:
            account_id = make_customer(desk, "王芳")
            fill(desk, account_id)
            before = kept(desk)
            sealed = seal(desk.engine, Signer(tmp_path / "key"))
            assert sealed is not None
            with posting(desk, account_id):
                time.sleep(0.3)
                started_s = time.monotonic()
                done = json.loads(orderledger(url, redis_url, tmp_path, "backup", str(tmp_path / "copy"), "--json"))
                backup_s = time.monotonic() - started_s
                time.sleep(0.3)
            newer = seal(desk.engine, Signer(tmp_path / "key"))
            assert newer is not None and newer.size > done["position"] >= done["sealed"] == sealed.size
            (tmp_path / "newer.checkpoint").write_text(newer.note)
        server.drop_database("ledger")

        url = server.create_database("ledger")
        upgrade(url)
        started_s = time.monotonic()
        orderledger(url, redis_url, tmp_path, "restore", str(tmp_path / "copy"))
        restore_s = time.monotonic() - started_s

        with desk_at(url) as desk:
            assert prove(desk.engine) == done["position"]
            assert kept(desk) == before
            assert [each["name"] for each in before["customers"]] == ["王芳"]
            assert sorted(each["status"] for each in before["orders"]) == ["cancelled", "placed"]
            for more in ([], ["--checkpoint", str(tmp_path / "newer.checkpoint")]):
                with pytest.raises(AssertionError, match=r"shortened|checkpoint"):
                    orderledger(url, redis_url, tmp_path, "audit", "verify", "--key", verifier, *more)
            assert desk.recharge(account_id, 1).position == done["position"] + 1
            with pytest.raises(SigningRefused, match="shortened"):
                seal(desk.engine, Signer(tmp_path / "key"))

            # What was lost is written down; from then on the log that there is counts.
            state_of(tmp_path / "key").unlink()
            again = seal(desk.engine, Signer(tmp_path / "key"))
            assert again is not None and again.size == done["position"] + 1
            verified = json.loads(orderledger(url, redis_url, tmp_path, "audit", "verify", "--key", verifier, "--json"))
            assert verified["status"] == "clean"
            rebuild_and_compare(settings_of(url, redis_url, tmp_path), again.size)
        with pytest.raises(pymysql.err.OperationalError, match="secure-timestamp"):
            server.execute("SET timestamp=1")  # Which is why a binary log is not replayed on such a server.
    print(f"{done['position']} events copied in {backup_s:.1f} s, restored in {restore_s:.1f} s")
