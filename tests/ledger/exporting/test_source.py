"""The connection of an export waits for whoever reads the export, and cannot write."""

from __future__ import annotations

import time

import pymysql
import pytest

from ledger.append import Ledger
from ledger.audit.connecting import connect
from ledger.database import open_engine
from ledger.exporting.source import opened
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from servers import PrivateMariaDB
from submissions import Desk


def test_an_export_whose_reader_pauses_outlasts_the_servers_limit_of_idle_transactions() -> None:
    with PrivateMariaDB(options={"idle-transaction-timeout": "1"}) as server:
        settings = LedgerSettings(database_url=server.create_database("ledger"))
        upgrade(settings.database_url)
        engine = open_engine(settings.database_url, settings)
        desk = Desk(Ledger(engine, settings), engine)
        desk.open(recharged_minor=100)
        desk.ledger.close()
        engine.dispose()

        with opened(settings) as source:
            before = source.event(1)
            time.sleep(2.5)
            after = source.event(2)

    assert (before.position, after.position) == (1, 2)


def test_the_connection_of_an_export_refuses_writes(mariadb_ledger_url: str) -> None:
    connection = connect(mariadb_ledger_url, LedgerSettings(), mysqlclient=False)

    with pytest.raises(pymysql.err.OperationalError, match="READ ONLY"):
        connection.cursor().execute("UPDATE log_head SET position=7")

    connection.close()
