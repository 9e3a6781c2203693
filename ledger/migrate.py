"""Bring a database to the current schema; two histories, so that log and directory may live apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from ledger.database import open_engine
from ledger.errors import LedgerError
from ledger.revisions import HISTORIES, MIGRATIONS, current, head, version_table
from ledger.settings import LedgerSettings
from ledger.upgrading import WAIT_S_MAX, Say, careful, make_table, say_works_with, upgrading

MIGRATING = LedgerSettings(statement_timeout_s=600)
"""Changing a long table takes its time."""


@dataclass(eq=False, kw_only=True)
class NotMigrated(LedgerError):
    """A database could not be brought to its schema."""

    code = "not-migrated"
    message = "the {history}'s database cannot be brought to the current schema: {problem}"
    history: str
    problem: str


def upgrade(
    database_url: str,
    directory_url: str = "",
    *,
    histories: Sequence[str] = HISTORIES,
    say: Say = lambda _: None,
    wait_s: float = WAIT_S_MAX,
) -> None:
    """Migrate the log's database and the directory's (the same when empty), or one of them, to the current schema.

    On MariaDB and MySQL the service may go on meanwhile: see ledger.upgrading. Raises UpgradeRunning, TableInUse, and
    NotMigrated when one cannot be reached or refuses it; those before it in `histories` are then migrated.
    """
    urls = dict(zip(HISTORIES, (database_url, directory_url or database_url), strict=True))
    for history in histories:
        engine = open_engine(urls[history], MIGRATING)
        try:
            if engine.dialect.name == "sqlite":
                _upgrade(engine, history)
                continue
            make_table(engine)
            with engine.connect() as connection:
                before = current(connection, history)
            if before == head(history):
                continue
            with upgrading(engine, history, wait_s=wait_s) as was_interrupted:
                # First, so that code of before knows where it is as soon as the revision changes.
                say_works_with(engine, history, head(history), _oldest_code(history, before))
                working = open_engine(urls[history], MIGRATING)
                try:
                    careful(working, say, was_interrupted=was_interrupted)
                    _upgrade(working, history)
                finally:
                    working.dispose()
        except sa.exc.OperationalError as error:
            raise NotMigrated(history=history, problem=str(error.orig)) from error
        finally:
            engine.dispose()


def _upgrade(engine: sa.Engine, history: str) -> None:
    with engine.connect() as connection:
        config = _config(history)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _oldest_code(history: str, before: str | None) -> str | None:
    """Return the oldest code that works after all of these migrations: each says in WORKS_WITH with which it does."""
    scripts = ScriptDirectory.from_config(_config(history))
    newest = scripts.get_current_head()
    since = [each for each in scripts.walk_revisions() if before is None or each.revision > before]
    return max((getattr(each.module, "WORKS_WITH", each.revision) for each in since), default=newest)


def _config(history: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS / history).replace("%", "%%"))
    config.attributes["version_table"] = version_table(history)
    return config
