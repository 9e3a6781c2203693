"""Whether what is stored fits this code: schema, collations, the time of the last event, and who may change history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import sqlalchemy as sa

from ledger.clock import now_us, rfc3339
from ledger.reading import read
from ledger.revisions import current, fits, head, known
from ledger.safety.checks import BAD, GOOD, WARNING, Finding, finding
from ledger.safety.server import CLOCK_US_MAX
from ledger.schema import log_head, metadata

COLUMNS_SHOWN_MAX = 3


def findings_of_schema(engines: Mapping[str, sa.Engine]) -> Iterator[Finding]:
    """Yield whether each history's database (`log`, `directory`) is at this code's revision. Raises ReadUnavailable."""
    for history, engine in engines.items():
        at = read(engine, partial(current, history=history))
        if at == head(history):
            yield finding("schema", GOOD, f"{history} is at revision {at}")
        elif read(engine, partial(fits, history=history, wanted=head(history))):
            yield finding("schema", GOOD, f"{history} is at revision {at}, newer than this version, and works with it")
        elif at is None or at in known(history):
            yield finding("schema", BAD, f"{history} is at revision {at or 'none'}", "orderledger db upgrade")
        else:
            mend = "start the version of orderledger that made it, or a newer one"
            yield finding("newer schema", BAD, f"{history} is at revision {at}, which this version does not know", mend)


def findings_of_log(engine: sa.Engine) -> Iterator[Finding]:
    """Yield what a migrated log's database says. Raises ReadUnavailable."""
    recorded_at_us = read(engine, _recorded_at_us)
    if recorded_at_us > now_us() + CLOCK_US_MAX:
        problem = f"the last event is of {rfc3339(recorded_at_us)}, in the future"
        mend = "set this host's clock right; if the event's time is wrong, wait until it is over: later events get no earlier one"
        yield finding("recorded time", BAD, problem, mend)
    if engine.dialect.name == "sqlite":
        return
    changed = read(engine, _changed_collations)
    if changed:
        problem = ", ".join(changed[:COLUMNS_SHOWN_MAX])
        mend = "ALTER TABLE … MODIFY the columns back to ascii_bin"
        yield finding("collation", BAD, f"keys are not compared byte by byte: {problem}", mend)
    yield from findings_of_user(engine)


def findings_of_user(engine: sa.Engine) -> Iterator[Finding]:
    """Yield whether the service's user may do more than it needs. Raises ReadUnavailable."""
    yield _privileges(read(engine, lambda connection: list(connection.exec_driver_sql("SHOW GRANTS").scalars())))


def _recorded_at_us(connection: sa.Connection) -> int:
    return connection.execute(sa.select(log_head.c.recorded_at_us)).scalar() or 0


def _changed_collations(connection: sa.Connection) -> list[str]:
    query = sa.text(
        "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name IN :tables"
        " AND collation_name IS NOT NULL AND collation_name NOT LIKE '%\\_bin'"
    ).bindparams(sa.bindparam("tables", sorted(metadata.tables), expanding=True))
    return sorted(str(name) for name in connection.execute(query).scalars())


def _privileges(grants: list[str]) -> Finding:
    if any("ALL PRIVILEGES" in grant or "SUPER" in grant for grant in grants):
        mend = "use a user with the grants that `orderledger db grants` prints"
        return finding("database user", WARNING, "may do anything, also change history", mend)
    return finding("database user", GOOD, "has limited privileges")
