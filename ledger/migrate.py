"""Bring a database to the current schema; two histories, so that log and directory may live apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from ledger.database import open_engine
from ledger.errors import LedgerError
from ledger.settings import LedgerSettings

HISTORIES = ("log", "directory")
_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(eq=False, kw_only=True)
class NotMigrated(LedgerError):
    """A database could not be brought to its schema."""

    code = "not-migrated"
    message = "the {history}'s database cannot be brought to the current schema: {problem}"
    history: str
    problem: str


def upgrade(database_url: str, directory_url: str = "", *, histories: Sequence[str] = HISTORIES) -> None:
    """Migrate the log's database and the directory's (the same when empty), or one of them, to the current schema.

    Raises NotMigrated when one cannot be reached or refuses it; those before it in `histories` are then migrated.
    """
    urls = dict(zip(HISTORIES, (database_url, directory_url or database_url), strict=True))
    for history in histories:
        engine = open_engine(urls[history], LedgerSettings())
        try:
            with engine.connect() as connection:
                config = _config(history)
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                connection.commit()
        except sa.exc.OperationalError as error:
            raise NotMigrated(history=history, problem=str(error.orig)) from error
        finally:
            engine.dispose()


def current(connection: sa.Connection, history: str) -> str | None:
    """Return the revision that the database is at, None when it is empty."""
    context = MigrationContext.configure(connection, opts={"version_table": version_table(history)})
    return context.get_current_revision()


def head(history: str) -> str | None:
    """Return the revision that the code wants."""
    return ScriptDirectory.from_config(_config(history)).get_current_head()


def is_known(history: str, revision: str) -> bool:
    """Say whether the code has a migration to this revision."""
    known = ScriptDirectory.from_config(_config(history)).walk_revisions()
    return any(each.revision == revision for each in known)


def version_table(history: str) -> str:
    """Return the name of the table that keeps a history's revision."""
    return f"schema_version_{history}"


def _config(history: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS / history).replace("%", "%%"))
    config.attributes["version_table"] = version_table(history)
    return config
