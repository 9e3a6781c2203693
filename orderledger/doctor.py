"""Check settings and servers against what is safe, and say how to mend what is not."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from ledger.errors import LedgerError
from ledger.reading import read
from ledger.settings import PREFIX
from orderledger.opening import opened_engine
from orderledger.schemas import schema_revisions
from orderledger.surroundings import SECRET_FILE
from projections.redis_clients import open_redis

GOOD, WARNING, BAD = "good", "warning", "bad"
MARIADB_OLDEST, MYSQL_OLDEST, REDIS_OLDEST = (10, 11), (8, 0), (7, 0)

Finding = dict[str, Any]


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """Return every check with its state (good, warning, bad), what was found and how to mend it."""
    findings: list[Finding] = []
    checks: tuple[tuple[str, Callable[[Mapping[str, str]], Iterator[Finding]]], ...] = (
        ("settings", _settings),
        ("database", _database),
        ("schema", _schema),
        ("redis", _redis),
    )
    for name, check in checks:
        try:
            findings += check(environment)
        except (LedgerError, redis.RedisError, sa.exc.SQLAlchemyError) as error:
            findings.append(_finding(name, BAD, str(error).splitlines()[0], "start the server, or correct its URL"))
    return findings


def _settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    data = Path(environment[PREFIX + "DATA"])
    if environment.get(PREFIX + "SECRET_KEY"):
        yield _finding("secret key", GOOD, "set")
    else:
        mend = f"set {PREFIX}SECRET_KEY to the same long random text for every process"
        yield _finding("secret key", WARNING, "not set; list cursors end with their process", mend)
    if data.exists():
        open_to_others = data.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        state, mend = (WARNING, f"chmod 700 {data}") if open_to_others else (GOOD, "")
        yield _finding(
            "data directory", state, f"{data} is {'open to other users' if open_to_others else 'private'}", mend
        )
    secret = data / SECRET_FILE
    if secret.exists() and secret.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield _finding("secret file", BAD, "other users can read it", f"chmod 600 {secret}")
    if environment.get(PREFIX + "EXECUTOR_ALLOW_PRIVATE", "").lower() in ("1", "true", "yes", "on"):
        mend = f"unset {PREFIX}EXECUTOR_ALLOW_PRIVATE unless executors are on your own network"
        yield _finding("executors", WARNING, "may be at private addresses", mend)


def _database(environment: Mapping[str, str]) -> Iterator[Finding]:
    with opened_engine(environment) as engine:
        if engine.dialect.name == "sqlite":
            version = read(
                engine, lambda connection: connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
            )
            yield _finding("database", GOOD, f"SQLite {version}, for one machine")
            return
        names = ("version", "innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "secure_timestamp")
        query = f"SHOW GLOBAL VARIABLES WHERE variable_name IN {names}"
        found = read(engine, lambda connection: {row[0]: row[1] for row in connection.exec_driver_sql(query)})
        yield from _server(found)
        grants = read(engine, lambda connection: list(connection.exec_driver_sql("SHOW GRANTS").scalars()))
        yield _privileges(grants)


def _server(found: Mapping[str, str]) -> Iterator[Finding]:
    version = str(found["version"])
    is_mariadb = "mariadb" in version.lower()
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    oldest = MARIADB_OLDEST if is_mariadb else MYSQL_OLDEST
    named = f"{'MariaDB' if is_mariadb else 'MySQL'} {version}"
    wanted = ".".join(map(str, oldest))
    yield _finding(
        "database", GOOD if numbers >= oldest else BAD, named, "" if numbers >= oldest else f"upgrade to {wanted}"
    )
    durable = found["innodb_flush_log_at_trx_commit"] == "1"
    mend = "" if durable else "SET GLOBAL innodb_flush_log_at_trx_commit=1"
    yield _finding("commits", GOOD if durable else BAD, "reach the disk" if durable else "may be lost on a crash", mend)
    if found.get("log_bin") == "ON":
        synced = found["sync_binlog"] == "1"
        state, text = (GOOD, "is synced") if synced else (BAD, "may miss commits after a crash")
        yield _finding("binary log", state, text, "" if synced else "SET GLOBAL sync_binlog=1")
    if is_mariadb and found.get("secure_timestamp") not in ("YES", "REPLICATION"):
        mend = "start the server with --secure-timestamp=YES"
        yield _finding("clock", WARNING, "a database user could set the time of a session", mend)


def _privileges(grants: list[str]) -> Finding:
    mighty = [grant for grant in grants if "ALL PRIVILEGES" in grant or "SUPER" in grant]
    if mighty:
        mend = "use a user with the grants that `orderledger db grants` prints"
        return _finding("database user", WARNING, "may do anything, also change history", mend)
    return _finding("database user", GOOD, "has limited privileges")


def _schema(environment: Mapping[str, str]) -> Iterator[Finding]:
    for each in schema_revisions(environment):
        current = each["current"] == each["wanted"]
        found = f"{each['history']} at {each['current'] or 'nothing'}"
        yield _finding("schema", GOOD if current else BAD, found, "" if current else "orderledger db upgrade")


def _redis(environment: Mapping[str, str]) -> Iterator[Finding]:
    urls = {
        environment[PREFIX + "REDIS_URL"],
        environment.get(PREFIX + "QUEUE_REDIS_URL") or environment[PREFIX + "REDIS_URL"],
    }
    for url in sorted(urls):
        client = open_redis(url)
        info: Any = client.info()
        version = str(info["redis_version"])
        numbers = tuple(int(part) for part in version.split(".")[:2])
        state, mend = (GOOD, "") if numbers >= REDIS_OLDEST else (BAD, "upgrade to Redis 7 or Valkey")
        yield _finding(
            "redis", state, f"{info.get('server_name', 'redis')} {info.get('valkey_version', version)}", mend
        )
        policy = info.get("maxmemory_policy", "noeviction")
        state, mend = (GOOD, "") if policy == "noeviction" else (BAD, "CONFIG SET maxmemory-policy noeviction")
        yield _finding("redis memory", state, f"policy when full: {policy}", mend)


def _finding(check: str, state: str, found: str, mend: str = "") -> Finding:
    return {"check": check, "state": state, "finding": found, "mend": mend}
