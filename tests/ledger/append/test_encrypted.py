"""Connections to the database by TLS, which drivers and newer servers choose by themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import self_signed
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from servers import PrivateMariaDB
from submissions import Desk, prove

CALLERS, COMMANDS = 6, 60


@pytest.fixture
def encrypted_url(tmp_path: Path) -> Iterator[str]:
    certificate, key = self_signed(tmp_path)
    with PrivateMariaDB(options={"ssl-cert": str(certificate), "ssl-key": str(key)}) as server:
        server.create_database("ledger")
        yield server.tcp_url("ledger")


def test_two_writers_that_take_turns_never_lose_a_connection_for_it(encrypted_url: str) -> None:
    upgrade(encrypted_url)
    settings = LedgerSettings(database_url=encrypted_url)
    desks = [Desk(Ledger(engine, settings), engine) for engine in (open_engine(encrypted_url, settings) for _ in "ab")]
    with desks[0].engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1] != ""
    account_id = desks[0].open(recharged_minor=100_000)

    def post(desk: Desk) -> None:
        for _ in range(COMMANDS):
            assert desk.deduct(account_id, 1).error is None

    threads = [threading.Thread(target=post, args=(desk,)) for desk in desks for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert prove(desks[0].engine) == 2 + len(threads) * COMMANDS
    assert [desk.ledger.statistics.retries for desk in desks] == [0, 0]
    for desk in desks:
        desk.ledger.close()
        desk.engine.dispose()
