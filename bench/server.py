"""The servers that are measured, and what the results must say about the machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import subprocess
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import processor
from servers import PrivateMariaDB, PrivateRedis

BUFFER_POOL_MIB = 512
OPTIONS = {
    "innodb-flush-log-at-trx-commit": "1",
    # The small log of the tests' servers would make a long run wait for checkpoints.
    "innodb-log-file-size": "256M",
}
PACKAGES = ("sqlalchemy", "pymysql", "redis", "django", "eventsourcing", "mysqlclient")


class MeasuredServer:
    """A private MariaDB as a production server is set: every commit on disk, the binary log too."""

    _numbers = itertools.count(1)

    def __init__(self, mariadb: PrivateMariaDB) -> None:
        self._mariadb = mariadb

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._mariadb.pid

    def fresh_database(self) -> tuple[str, str]:
        """Make an empty database and return its name and URL."""
        name = f"bench_{next(self._numbers)}"
        return name, self._mariadb.create_database(name)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, yield its URL, and remove it."""
        name, url = self.fresh_database()
        try:
            yield url
        finally:
            self.drop_database(name)

    def drop_database(self, name: str) -> None:
        """Remove a database."""
        self._mariadb.drop_database(name)

    def version(self) -> str:
        """Return the server's version."""
        return str(self.query("SELECT VERSION()")[0][0])

    def commits_and_syncs(self) -> tuple[int, int]:
        """Return how many transactions the server committed, and how often it flushed logs and data to the disk.

        The binary log is flushed once for each group of commits (``sync_binlog=1``), which no other counter tells.
        """
        names = "('BINLOG_COMMITS', 'BINLOG_GROUP_COMMITS', 'INNODB_DATA_FSYNCS')"
        counted = dict(
            self.query(
                "SELECT variable_name, variable_value FROM information_schema.global_status "
                f"WHERE variable_name IN {names}"
            )
        )
        commits, groups, flushes = (
            int(counted.get(each, 0)) for each in ("BINLOG_COMMITS", "BINLOG_GROUP_COMMITS", "INNODB_DATA_FSYNCS")
        )
        return commits, groups + flushes

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return self._mariadb.execute(statement)


class Servers:
    """The servers of a run, each started when a part first asks for it, all stopped with the context."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    @cached_property
    def mariadb(self) -> MeasuredServer:
        """A MariaDB that keeps every commit, the binary log synced."""
        options = PrivateMariaDB(binlog=True, buffer_pool_mib=BUFFER_POOL_MIB, options=OPTIONS)
        return MeasuredServer(self._stack.enter_context(options))

    @cached_property
    def redis(self) -> PrivateRedis:
        """A Redis with an append-only file, as production has."""
        return self._stack.enter_context(PrivateRedis())


@contextlib.contextmanager
def measured_servers() -> Iterator[Servers]:
    """Run servers for as long as the context lasts."""
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


def surroundings(servers: Servers) -> dict[str, Any]:
    """Return what a reader must know of the machine and the programs."""
    return {
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "mariadb": servers.mariadb.version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "load_average": processor.load_average(),
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    root = Path(__file__).resolve().parent.parent
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
