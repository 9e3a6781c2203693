"""A server that would lose commits takes no command, whenever a connection leads to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pymysql
import pytest
import sqlalchemy as sa

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.errors import NothingRecorded, OutcomeUnknown
from ledger.settings import LedgerSettings
from proxy import Proxy, proxied
from servers import PrivateMariaDB
from submissions import Desk, prove


def open_desk(url: str, settings: LedgerSettings | None = None) -> Desk:
    settings = settings or LedgerSettings()
    engine = open_engine(url, settings)
    return Desk(Ledger(engine, settings), engine)


def close(desk: Desk) -> None:
    desk.ledger.close()
    desk.engine.dispose()


@pytest.fixture
def keep(mariadb: PrivateMariaDB) -> Iterator[PrivateMariaDB]:
    """The server, whose commits reach the disk again after the test."""
    yield mariadb
    mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit=1")


def test_no_command_is_taken_until_the_server_is_safe_again(keep: PrivateMariaDB, mariadb_ledger_url: str) -> None:
    keep.execute("SET GLOBAL innodb_flush_log_at_trx_commit=2")
    desk = open_desk(mariadb_ledger_url)

    began_s = time.monotonic()
    with pytest.raises(NothingRecorded, match="not set up safely"):
        desk.open()
    assert time.monotonic() - began_s < 2
    assert prove(desk.engine) == 0

    keep.execute("SET GLOBAL innodb_flush_log_at_trx_commit=1")
    desk.open()
    assert prove(desk.engine) == 1
    close(desk)


def test_what_the_operator_accepts_is_taken(keep: PrivateMariaDB, mariadb_ledger_url: str) -> None:
    keep.execute("SET GLOBAL innodb_flush_log_at_trx_commit=2")
    desk = open_desk(mariadb_ledger_url, LedgerSettings(allow_unsafe=("commits",)))

    desk.open()

    assert prove(desk.engine) == 1
    close(desk)


def test_a_commit_in_doubt_stays_unknown_when_the_next_connection_leads_to_an_unsafe_server(
    keep: PrivateMariaDB, mariadb_ledger_url: str
) -> None:
    url = sa.make_url(mariadb_ledger_url)
    with proxied(str(url.query["unix_socket"])) as proxy:
        desk = open_desk(f"mysql+pymysql://root@127.0.0.1:{proxy.port}/{url.database}?ssl_disabled=true")
        account_id = desk.open()
        keep.execute("SET GLOBAL innodb_flush_log_at_trx_commit=2")
        lose_one_commit(proxy)

        with pytest.raises(OutcomeUnknown):
            desk.recharge(account_id, 100, "k1")

        keep.execute("SET GLOBAL innodb_flush_log_at_trx_commit=1")
        assert desk.recharge(account_id, 100, "k1").replayed
        assert prove(desk.engine) == 2
        close(desk)


def lose_one_commit(proxy: Proxy) -> None:
    left = [1]

    def lose(chunk: bytes) -> bool:
        is_next = b";COMMIT" in chunk and left[0] > 0
        left[0] -= is_next
        return is_next

    proxy.lose_answer_when = lose


def test_a_connection_whose_checks_were_cut_short_is_not_written_through(
    mariadb_ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers the connection and refuses the question, as a node does that is about to lose its cluster."""
    asked: list[str] = []

    def refuse_once(query: Callable[[str], object], accepted: object) -> None:
        asked.append("asked")
        if len(asked) == 1:
            raise pymysql.err.OperationalError(1047, "WSREP has not yet prepared node for application use")

    monkeypatch.setattr("ledger.append.session.ensure_kept", refuse_once)
    desk = open_desk(mariadb_ledger_url)

    desk.open()

    assert len(asked) == 2
    close(desk)
