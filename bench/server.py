"""The database server that is measured, and what the results must say about the machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import processor
from servers import PrivateMariaDB

BUFFER_POOL_MIB = 512
OPTIONS = {
    "innodb-flush-log-at-trx-commit": "1",
    # The small log of the tests' servers would make a long run wait for checkpoints.
    "innodb-log-file-size": "256M",
}
PACKAGES = ("sqlalchemy", "pymysql", "django")


class MeasuredServer:
    """A private MariaDB as a production server is set: every commit on disk, the binary log too."""

    def __init__(self, mariadb: PrivateMariaDB) -> None:
        self._mariadb = mariadb
        self._numbers = itertools.count(1)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._mariadb.pid

    def fresh_database(self) -> tuple[str, str]:
        """Make an empty database and return its name and URL."""
        name = f"bench_{next(self._numbers)}"
        return name, self._mariadb.create_database(name)

    def drop_database(self, name: str) -> None:
        """Remove a database."""
        self._mariadb.drop_database(name)

    def version(self) -> str:
        """Return the server's version."""
        return str(self.query("SELECT VERSION()")[0][0])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return self._mariadb.execute(statement)


@contextlib.contextmanager
def measured_server() -> Iterator[MeasuredServer]:
    """Run a server for as long as the context lasts."""
    with PrivateMariaDB(binlog=True, buffer_pool_mib=BUFFER_POOL_MIB, options=OPTIONS) as mariadb:
        yield MeasuredServer(mariadb)


def surroundings(server: MeasuredServer) -> dict[str, Any]:
    """Return what a reader must know of the machine and the programs."""
    return {
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "mariadb": server.version(),
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
