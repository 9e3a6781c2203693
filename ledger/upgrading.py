"""Change the schema of a database that is in use (MariaDB, MySQL).

Promises: a statement that waits for a table gives up soon and is tried again, so that nothing queues up behind it; one
upgrade at a time, by a row with a lease, which holds on a cluster, too; an upgrade that was interrupted can be run again;
the database says which older code works with its schema.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger.clock import now_us
from ledger.errors import LedgerError

LOCK_WAIT_S = 2
"""How long a statement may wait for a table's metadata lock: every command on that table waits behind it."""
TRIES_MAX = 90
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 1.5
LEASE_S, RENEW_S = 30, 5
WAIT_S_MAX = 90.0
"""How long an upgrade waits for another one: longer than the lease of one that died."""
LOOK_INTERVAL_S = 0.5
LOCK_WAIT_TIMEOUT = 1205
DONE_ALREADY = frozenset({1050, 1060, 1061, 1091, 1359, 1826})
"""The server's codes for: table, column, index, trigger or key exists; what is to be dropped does not."""
TABLE = "schema_upgrade"

Say = Callable[[str], None]
_metadata = sa.MetaData()
_rows = sa.Table(
    TABLE,
    _metadata,
    sa.Column("history", sa.String(16), primary_key=True),
    sa.Column("holder", sa.String(80)),
    sa.Column("until_us", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.String(32)),
    sa.Column("works_with", sa.String(32)),
)


@dataclass(eq=False, kw_only=True)
class UpgradeRunning(LedgerError):
    """Another upgrade of the same database holds the lease."""

    code = "upgrade-running"
    message = "{holder} is upgrading the {history}; wait for it, or, if it is gone, for the end of its lease"
    holder: str
    history: str


@dataclass(eq=False, kw_only=True)
class TableInUse(LedgerError):
    """A statement never got its table."""

    code = "table-in-use"
    message = "somebody held the table for too long: {statement}; end long database transactions, then run it again"
    statement: str


def careful(engine: sa.Engine, say: Say, *, was_interrupted: bool = False, tries_max: int = TRIES_MAX) -> None:
    """Have every statement that defines something on this engine wait for tables only for a moment, and try again.

    `was_interrupted`: what is there already is what an earlier run got done. Raises TableInUse from the statement.
    """

    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        words = statement.split(None, 2)[:2]
        if not words or words[0].upper() not in ("CREATE", "ALTER", "DROP", "RENAME"):
            return False
        shown = " ".join(statement.split())[:100]
        say(shown)
        cursor.execute(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_S}")
        for _ in range(tries_max):
            try:
                cursor.execute(statement, parameters or None)
                return True
            except Exception as error:
                code = error.args[0] if error.args else None
                if code in DONE_ALREADY and was_interrupted:
                    say("  was done before")
                    return True
                if code != LOCK_WAIT_TIMEOUT:
                    raise
                say("  the table is in use; again in a moment")
                time.sleep(random.uniform(PAUSE_S_MIN, PAUSE_S_MAX))
        raise TableInUse(statement=shown)

    sa.event.listen(engine, "do_execute", execute)


@contextmanager
def upgrading(engine: sa.Engine, history: str, *, wait_s: float = WAIT_S_MAX) -> Iterator[bool]:
    """Be the only one who upgrades this history; the value says whether an earlier upgrade was interrupted.

    The engine is one without `careful`. Raises UpgradeRunning after waiting.
    """
    holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{threading.get_ident()}"
    make_table(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT IGNORE INTO {TABLE} (history, holder, until_us) VALUES (%s, NULL, 0)", (history,)
        )
    ends_at_s = time.monotonic() + wait_s
    while (found := _taken(engine, history, holder)) is None:
        if time.monotonic() >= ends_at_s:
            raise UpgradeRunning(holder=_holder(engine, history) or "somebody", history=history)
        time.sleep(LOOK_INTERVAL_S)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(engine, history, holder, ended), daemon=True)
    renewer.start()
    try:
        yield found
    except BaseException:
        # The holder stays in the row: whoever comes next knows that something may be half done.
        _set(engine, history, holder, until_us=0)
        raise
    else:
        _set(engine, history, holder, until_us=0, holder=None)
    finally:
        ended.set()
        renewer.join()


def make_table(engine: sa.Engine) -> None:
    """Make the table of upgrades where there is none: grants name it."""
    _metadata.create_all(engine)


def works_with(connection: sa.Connection, history: str, at: str) -> str | None:
    """Return the oldest revision whose code works with the schema at a revision; None when the database does not say."""
    said = sa.select(_rows.c.works_with).where(_rows.c.history == history, _rows.c.revision >= at)
    try:
        found: str | None = connection.scalar(said)
    except sa.exc.DBAPIError:
        # A database of before, or a user who may not look.
        return None
    return found


def say_works_with(engine: sa.Engine, history: str, revision: str | None, oldest: str | None) -> None:
    """Record the oldest revision whose code works with the schema on its way to a revision, and at it."""
    values = {"revision": revision, "works_with": oldest}
    with engine.begin() as connection:
        connection.execute(sa.update(_rows).where(_rows.c.history == history).values(**values))


def _taken(engine: sa.Engine, history: str, holder: str) -> bool | None:
    """Take the lease; return whether its last holder was interrupted, None when somebody holds it.

    Compare and set in one statement: of two nodes of a cluster one fails at COMMIT.
    """
    with engine.connect() as connection:
        before = connection.execute(sa.select(_rows).where(_rows.c.history == history)).one()
        if before.until_us > now_us():
            return None
        is_same = sa.and_(
            _rows.c.history == history,
            _rows.c.until_us == before.until_us,
            _rows.c.holder.is_(None) if before.holder is None else _rows.c.holder == before.holder,
        )
        taking = sa.update(_rows).where(is_same).values(holder=holder, until_us=now_us() + LEASE_S * 1_000_000)
        try:
            taken = connection.execute(taking).rowcount == 1
            connection.commit()
        except sa.exc.DBAPIError:
            return None
    return before.holder is not None if taken else None


def _holder(engine: sa.Engine, history: str) -> str | None:
    with engine.connect() as connection:
        found: str | None = connection.scalar(sa.select(_rows.c.holder).where(_rows.c.history == history))
        return found


def _set(engine: sa.Engine, history: str, own: str, **values: Any) -> None:
    with engine.begin() as connection:
        mine = sa.and_(_rows.c.history == history, _rows.c.holder == own)
        connection.execute(sa.update(_rows).where(mine).values(**values))


def _renew(engine: sa.Engine, history: str, holder: str, ended: threading.Event) -> None:
    while not ended.wait(RENEW_S):
        try:
            _set(engine, history, holder, until_us=now_us() + LEASE_S * 1_000_000)
        except sa.exc.SQLAlchemyError:
            continue
