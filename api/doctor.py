"""Whether settings and servers are safe, and how to mend what is not: what the command `doctor`, the console and every
start look at.

Each check says good, warning or bad, what was found, and what to do. The catalogue is ledger.safety.checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypedDict

import redis
import sqlalchemy as sa

from api.safe_settings import findings_of_settings, processes_of
from ledger.database import are_split, opened_cluster, url_of
from ledger.errors import LedgerError
from ledger.proofs.sealing import sealing_lag
from ledger.reading import read
from ledger.safety.checks import BAD, GOOD, WARNING, Finding, finding, with_accepted
from ledger.safety.nodes import findings_of_nodes
from ledger.safety.replicas import findings_of_replicas
from ledger.safety.server import QUERY, findings_of_server, variables
from ledger.safety.stored import findings_of_log, findings_of_schema, findings_of_user
from ledger.settings import PREFIX, LedgerSettings, read_settings
from projections.safety import findings_of_redis

SEALING_LAG_S_MAX = 300.0
WEBHOOK_LAG_S_MAX = 120.0
CONNECTIONS_SPARE = 20
"""Connections that workers, commands and administrators need beside the API's."""


class Servers(TypedDict):
    """What is looked at."""

    log: sa.Engine
    directory: sa.Engine
    clients: Sequence[redis.Redis]


Check = Callable[[], Iterator[Finding]]
FAULTS = (LedgerError, redis.RedisError, sa.exc.SQLAlchemyError)


def examine(
    environment: Mapping[str, str], *, log: sa.Engine, directory: sa.Engine, clients: Sequence[redis.Redis]
) -> list[Finding]:
    """Return every check's finding, accepted ones as warnings; a server that cannot be reached is one."""
    settings = read_settings(LedgerSettings, environment)
    of_database: list[Check] = [
        partial(_database, environment, log),
        partial(_stored, log, directory),
        partial(_nodes, settings, log),
        partial(_sealing, log),
        partial(findings_of_replicas, settings),
        partial(_webhooks, log, directory),
    ]
    of_directory: list[Check] = (
        [partial(_directory, directory), partial(_nodes, settings, directory)] if are_split(log, directory) else []
    )
    of_redis: list[Check] = [partial(findings_of_redis, client) for client in clients]
    findings = list(findings_of_settings(environment))
    for check in [*of_database, *of_directory, *of_redis]:
        try:
            findings += check()
        except FAULTS as error:
            mend = "start the server, or correct its URL"
            where = "redis" if check in of_redis else "directory database" if check in of_directory else "database"
            away = finding(where, BAD, str(error).splitlines()[0], mend)
            findings += [] if away in findings else [away]
    return with_accepted(findings, settings.allow_unsafe)


def unsafe_at_start(
    environment: Mapping[str, str], *, log: sa.Engine, directory: sa.Engine, clients: Sequence[redis.Redis]
) -> tuple[list[Finding], bool]:
    """Return the findings of what a start depends on, and whether every server could be asked."""
    findings = list(findings_of_settings(environment))
    is_whole = True
    for check in (
        partial(_database, environment, log),
        partial(_stored, log, directory),
        *([partial(_directory, directory)] if are_split(log, directory) else []),
        *(partial(findings_of_redis, client) for client in clients),
    ):
        try:
            findings += check()
        except FAULTS:
            is_whole = False
    return with_accepted(findings, read_settings(LedgerSettings, environment).allow_unsafe), is_whole


def _database(environment: Mapping[str, str], engine: sa.Engine) -> Iterator[Finding]:
    if engine.dialect.name == "sqlite":
        version = read(engine, lambda connection: connection.exec_driver_sql("SELECT sqlite_version()").scalar_one())
        yield finding("database", GOOD, f"SQLite {version}, for one machine")
        return
    # A text of SQLAlchemy's own, because the driver would take the percent signs of plain ones.
    found = variables(read(engine, lambda connection: connection.execute(sa.text(QUERY)).all()))
    yield finding("database", GOOD, "answers")
    yield from findings_of_server(found)
    one, together = processes_of(environment)
    if together + CONNECTIONS_SPARE > int(found["max_connections"]):
        mend = f"raise max_connections, or lower {PREFIX}POOL_SIZE and {PREFIX}POOL_MAX_OVERFLOW"
        problem = f"the server takes {found['max_connections']}, the API alone may want {together} ({one} a process)"
        yield finding("connections", WARNING, problem, mend)


def _nodes(settings: LedgerSettings, engine: sa.Engine) -> Iterator[Finding]:
    cluster = opened_cluster(url_of(engine), settings)
    return iter(()) if cluster is None else findings_of_nodes(cluster)


def _directory(engine: sa.Engine) -> Iterator[Finding]:
    """Yield what is to be said of a directory with a database of its own: it holds what the log does not."""
    yield from findings_of_schema({"directory": engine})
    if engine.dialect.name != "sqlite":
        yield from findings_of_server(
            variables(read(engine, lambda connection: connection.execute(sa.text(QUERY)).all()))
        )
        yield from findings_of_user(engine)
    yield finding("directory database", GOOD, "answers")


def _stored(log: sa.Engine, directory: sa.Engine) -> Iterator[Finding]:
    schemas = list(
        findings_of_schema({"log": log} if are_split(log, directory) else {"log": log, "directory": directory})
    )
    yield from schemas
    if all(each["state"] == GOOD for each in schemas):
        yield from findings_of_log(log)


def _sealing(engine: sa.Engine) -> Iterator[Finding]:
    lag = read(engine, sealing_lag)
    if lag.seconds > SEALING_LAG_S_MAX:
        mend = "make a key with `orderledger audit keygen NAME`, and see what maintenance says of sealing"
        yield finding("sealing", WARNING, f"{lag.events} events are under no signed checkpoint", mend)
    else:
        yield finding("sealing", GOOD, f"{lag.events} events wait for a signed checkpoint")


def _webhooks(log: sa.Engine, directory: sa.Engine) -> Iterator[Finding]:
    # Starts ask for everything but this, and it takes a quarter of their imports.
    from ledger.directory.webhook_standing import webhook_standing

    found = webhook_standing(directory, log)
    if found.disabled or found.failing:
        mend = "see its deliveries on the page of webhooks, mend the receiver, and enable it"
        yield finding("webhooks", WARNING, f"{found.failing} failing, {found.disabled} disabled", mend)
    elif found.lag_s > WEBHOOK_LAG_S_MAX:
        mend = "see that `orderledger worker webhooks` is running"
        yield finding("webhooks", WARNING, f"the last one is {found.lag_events} events behind", mend)
    else:
        yield finding("webhooks", GOOD, f"{found.delivering} delivering, {found.paused} paused")
