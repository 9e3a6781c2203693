"""Servers and databases for tests: real ones, private, one of each server per test process.

A test asks for what it needs by name. `ledger_url` is the usual one: a fresh, migrated database, the test running once
on SQLite and once on MariaDB.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pymysql
import pytest
import sqlalchemy as sa

from server_programs import shared_directory
from servers import PrivateMariaDB, PrivateRedis

_NUMBERS = itertools.count(1)
_DROP_S_MAX = 2

# A slow run on a busy machine is no failure.
hypothesis.settings.register_profile("orderledger", deadline=None, print_blob=True)
hypothesis.settings.load_profile("orderledger")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the caller's settings out of the tests, and let parallel test processes share what is made once."""
    for variable in [name for name in os.environ if name.startswith("ORDERLEDGER_")]:
        del os.environ[variable]
    if getattr(config.option, "numprocesses", None):
        shared_directory()


def pytest_collection_finish() -> None:
    """Spare every later search for garbage what the imports left, which lives to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[PrivateMariaDB]:
    """A running MariaDB. A test that kills or stops one makes its own PrivateMariaDB instead."""
    # A database is made and removed in half the time when its tables have no files of their own.
    with PrivateMariaDB(options={"innodb-file-per-table": "0"}) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[PrivateRedis]:
    """A running Redis. A test that kills or stops one makes its own PrivateRedis instead."""
    with PrivateRedis() as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb: PrivateMariaDB) -> Iterator[str]:
    """The URL of a fresh, empty MariaDB database."""
    yield from _fresh_database(mariadb)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
def redis_url(redis_server: PrivateRedis) -> str:
    """The URL of an empty Redis: everything in it is forgotten before the test."""
    redis_server.flush()
    return redis_server.url()


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh, empty database; the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "mariadb"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh, migrated database; the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_ledger_url")
    return url


@pytest.fixture
def sqlite_ledger_url(sqlite_url: str, tmp_path: Path, migrated_sqlite: Path) -> str:
    """The URL of a fresh, migrated SQLite database."""
    shutil.copyfile(migrated_sqlite, tmp_path / "ledger.sqlite")
    return sqlite_url


@pytest.fixture
def mariadb_ledger_url(mariadb: PrivateMariaDB, mariadb_url: str, migrated_mariadb: str) -> str:
    """The URL of a fresh, migrated MariaDB database."""
    mariadb.copy_database(migrated_mariadb, sa.make_url(mariadb_url).database or "")
    return mariadb_url


@pytest.fixture(scope="session")
def migrated_mariadb(mariadb: PrivateMariaDB) -> str:
    """The name of a migrated MariaDB database to copy: migrating takes several times as long."""
    from ledger.migrate import upgrade

    name = "migrated"
    upgrade(mariadb.create_database(name))
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy: migrating takes longer than most tests."""
    from ledger.migrate import upgrade

    path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite"
    upgrade(f"sqlite:///{path}")
    # Closing the last connection has moved the write-ahead log into the file, so that one file is the whole database.
    assert not path.with_name("ledger.sqlite-wal").exists()
    return path


def _fresh_database(mariadb: PrivateMariaDB) -> Iterator[str]:
    name = f"test_{next(_NUMBERS)}"
    yield mariadb.create_database(name)
    try:
        mariadb.drop_database(name, lock_s_max=_DROP_S_MAX)
    except pymysql.err.OperationalError:
        # A connection that the test left open still holds a table; the database goes with the server.
        return
