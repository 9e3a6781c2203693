"""Which revision of its schema a database is at, and which one this code wants; what moves it there is ledger.migrate.

Every start and every health check asks this, so it needs neither the migrations themselves nor what runs them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa

from ledger.upgrading import works_with

LOG, DIRECTORY = "log", "directory"
HISTORIES = (LOG, DIRECTORY)
MIGRATIONS = Path(__file__).parent / "migrations"


@cache
def known(history: str) -> tuple[str, ...]:
    """Return the revisions that this code has migrations to, the oldest first: they are named so."""
    return tuple(sorted(each.stem for each in (MIGRATIONS / history / "versions").glob(f"{history}_*.py")))


def head(history: str) -> str:
    """Return the revision that the code wants."""
    return known(history)[-1]


def current(connection: sa.Connection, history: str) -> str | None:
    """Return the revision that the database is at, None when it is empty."""
    name = version_table(history)
    if not sa.inspect(connection).has_table(name):
        return None
    revision: str | None = connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(name)))
    return revision


def fits(connection: sa.Connection, history: str, wanted: str) -> bool:
    """Say whether code that wants this revision works with the database: it is at it, or newer and says so."""
    at = current(connection, history)
    if at == wanted or at is None:
        return at == wanted
    oldest = works_with(connection, history, at) if at > wanted else None
    return oldest is not None and oldest <= wanted


def version_table(history: str) -> str:
    """Return the name of the table that keeps a history's revision."""
    return f"schema_version_{history}"
