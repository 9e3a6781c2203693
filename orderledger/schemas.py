"""Which schema the databases are at, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger.errors import LedgerError
from ledger.migrate import current, head
from ledger.reading import read
from ledger.settings import PREFIX
from orderledger.opening import opened_directory, opened_engine


@dataclass(eq=False, kw_only=True)
class GrantsRefused(LedgerError):
    """The database did not take the grants."""

    code = "grants-refused"
    message = "the grants were not made: {problem}; the URL must be an administrator's, and the user exist"
    problem: str


def schema_revisions(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return history, current and wanted revision of the log's and the directory's schema."""
    with opened_engine(environment) as engine, opened_directory(environment) as directory:
        found = {
            "log": read(engine, lambda connection: current(connection, "log")),
            "directory": read(directory.engine, lambda connection: current(connection, "directory")),
        }
    return [{"history": name, "current": revision, "wanted": head(name)} for name, revision in found.items()]


def database_names(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the names of the log's and the directory's database, empty where there is none (SQLite)."""
    names = []
    for variable in ("DATABASE_URL", "DIRECTORY_URL"):
        url = environment.get(PREFIX + variable) or environment[PREFIX + "DATABASE_URL"]
        parsed = sa.make_url(url)
        names.append("" if parsed.get_backend_name() == "sqlite" else parsed.database or "")
    return names[0], names[1]


def apply_grants(environment: Mapping[str, str], statements: Sequence[str]) -> None:
    """Run the statements in the log's database, as whom the URL names. Raises GrantsRefused, saying what the server said."""
    try:
        with opened_engine(environment) as engine, engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))
    except sa.exc.DBAPIError as error:
        raise GrantsRefused(problem=str(error.orig)) from error
