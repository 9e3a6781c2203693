"""Engines as a service under stress needs them: bounded pools, no endless wait on any socket, nothing shared by forks."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pymysql
import pytest
import redis

from ledger.database import open_append_connection, open_engine
from ledger.errors import ReadUnavailable
from ledger.reading import read
from ledger.settings import LedgerSettings
from projections.redis_clients import open_redis
from servers import PrivateMariaDB

QUICK = LedgerSettings(
    pool_size=2,
    pool_max_overflow=1,
    pool_timeout_s=0.3,
    pool_recycle_s=1,
    connect_timeout_s=0.5,
    statement_timeout_s=1.0,
)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says anything."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
    for each in taken:
        each.close()


def timed(call: Callable[..., object], *arguments: object) -> float:
    """Return how long a call took to fail."""
    began = time.monotonic()
    with pytest.raises((ReadUnavailable, pymysql.err.Error, redis.RedisError)):
        call(*arguments)
    return time.monotonic() - began


def test_a_pool_gives_what_it_is_set_to_and_then_says_so_in_time(ledger_url: str) -> None:
    engine = open_engine(ledger_url, QUICK)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(engine.connect())

        began = time.monotonic()
        with pytest.raises(ReadUnavailable, match="connections are in use"):
            read(engine, lambda connection: connection.exec_driver_sql("SELECT 1"))
        assert 0.25 <= time.monotonic() - began < 1.5

    assert read(engine, lambda connection: connection.exec_driver_sql("SELECT 1").scalar()) == 1
    engine.dispose()


def test_an_old_connection_is_replaced(mariadb_url: str) -> None:
    engine = open_engine(mariadb_url, QUICK)

    def identity() -> int:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one())

    first = identity()
    assert identity() == first
    time.sleep(2.1)

    assert identity() != first
    engine.dispose()


def test_a_server_that_never_speaks_is_given_up(silent_port: int) -> None:
    url = f"mysql+pymysql://nobody@127.0.0.1:{silent_port}/none"
    engine = open_engine(url, QUICK)

    assert timed(read, engine, lambda connection: None) < 4
    assert timed(open_append_connection, url, QUICK) < 3
    client = open_redis(f"redis://127.0.0.1:{silent_port}/0", timeout_s=0.5)
    assert timed(client.ping) < 3
    engine.dispose()


def test_a_statement_that_takes_too_long_is_given_up_and_its_connection_not_used_again(mariadb_url: str) -> None:
    engine = open_engine(mariadb_url, QUICK)

    assert timed(read, engine, lambda connection: connection.exec_driver_sql("SELECT SLEEP(20)")) < 15

    assert read(engine, lambda connection: connection.exec_driver_sql("SELECT 7").scalar()) == 7
    engine.dispose()


def test_a_forked_process_has_connections_of_its_own(ledger_url: str) -> None:
    engine = open_engine(ledger_url, LedgerSettings(pool_size=1, pool_max_overflow=0))
    query = "SELECT CONNECTION_ID()" if engine.dialect.name == "mysql" else "SELECT 1"
    with engine.connect() as connection:
        mine = connection.exec_driver_sql(query).scalar_one()
    readable, writable = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            with engine.connect() as connection:
                os.write(writable, str(connection.exec_driver_sql(query).scalar_one()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    theirs = os.read(readable, 100).decode()
    os.close(readable)
    os.close(writable)
    assert theirs != ""
    if engine.dialect.name == "mysql":
        assert theirs != str(mine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(query).scalar_one() == mine
    engine.dispose()


def test_a_server_that_hangs_is_given_up_sooner_than_a_statement_would_be() -> None:
    patient = dataclasses.replace(QUICK, statement_timeout_s=20.0, pool_recycle_s=1_800)
    with PrivateMariaDB() as server:
        engine = open_engine(server.url("mysql"), patient)
        assert read(engine, lambda connection: connection.exec_driver_sql("SELECT 1").scalar()) == 1

        server.pause()
        try:
            # The kept connection is found out by a ping, a new one by its greeting that does not come.
            assert timed(read, engine, lambda connection: connection.exec_driver_sql("SELECT 1")) < 4
            assert timed(open_append_connection, server.url("mysql"), patient) < 2
        finally:
            server.resume()

        assert read(engine, lambda connection: connection.exec_driver_sql("SELECT 2").scalar()) == 2
        engine.dispose()


def test_a_pool_says_nothing_of_what_it_does(ledger_url: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = open_engine(ledger_url, QUICK)

    with caplog.at_level(logging.INFO):
        with engine.connect():
            pass
        engine.dispose()

    assert caplog.records == []
