"""Which schema the databases are at, and what the service's user may do in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger.database import node_urls
from ledger.errors import LedgerError, ReadUnavailable
from ledger.grants import directory_grants, grants, log_grants
from ledger.reading import read
from ledger.revisions import current, head
from ledger.settings import PREFIX
from orderledger.opening import opened_directory, opened_engine

_VARIABLES = ("DATABASE_URL", "DIRECTORY_URL")
_NOTHING = "-- nothing: it is SQLite, whose file belongs to the service's system user"


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
            "directory": _revision(directory.engine),
        }
    return [{"history": name, "current": revision, "wanted": head(name)} for name, revision in found.items()]


def wanted_grants(
    environment: Mapping[str, str], user: str, host: str, *, database: str | None, directory: str | None
) -> dict[str, list[str]]:
    """Return the statements for the service's user by whose server they are for: the `log`'s, and the `directory`'s if another.

    There are none for SQLite. `database` and `directory` are names to use instead of the URLs'. Raises ValueError for odd names.
    """
    urls = [environment.get(PREFIX + name) or environment[PREFIX + "DATABASE_URL"] for name in _VARIABLES]
    log_url, directory_url = (node_urls(url)[0] for url in urls)
    log_name = database or _name(log_url) or "orderledger"
    directory_name = directory or _name(directory_url)
    if _server(log_url) == _server(directory_url):
        return {"log": grants(log_name, user, host, directory=directory_name or log_name)}
    return {
        "log": log_grants(log_name, user, host) if _name(log_url) else [],
        "directory": directory_grants(directory_name, user, host) if directory_name else [],
    }


def printed_grants(wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines to print: of two servers, each under a comment that says whose it is."""
    if len(wanted) == 1:
        return [statement for statements in wanted.values() for statement in statements]
    lines: list[str] = []
    for history, statements in wanted.items():
        lines += [f"-- on the {history}'s server", *(statements or [_NOTHING])]
    return lines


def apply_grants(environment: Mapping[str, str], wanted: Mapping[str, Sequence[str]]) -> None:
    """Run the statements, each where it belongs, as whom the URL names. Raises GrantsRefused, saying what the server said."""
    try:
        with opened_engine(environment) as log, opened_directory(environment) as directory:
            engines = {"log": log, "directory": directory.engine}
            for history, statements in wanted.items():
                if statements:
                    _run(engines[history], statements)
    except sa.exc.DBAPIError as error:
        raise GrantsRefused(problem=str(error.orig)) from error


def _run(engine: sa.Engine, statements: Sequence[str]) -> None:
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


def _revision(engine: sa.Engine) -> str | None:
    try:
        return read(engine, lambda connection: current(connection, "directory"))
    except ReadUnavailable as error:
        raise ReadUnavailable(reason="the directory's database cannot be reached") from error


def _name(url: sa.URL) -> str:
    """Return the database's name, empty for SQLite."""
    return "" if url.get_backend_name() == "sqlite" else url.database or ""


def _server(url: sa.URL) -> tuple[object, ...]:
    # Files of SQLite are of one kind: there is nothing to grant in any.
    if url.get_backend_name() == "sqlite":
        return ("sqlite",)
    return url.host, url.port, url.query.get("unix_socket")
