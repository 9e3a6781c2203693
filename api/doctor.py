"""Whether settings and servers are safe, and how to mend what is not: what the command `doctor` and the console show.

Each check says good, warning or bad, what was found, and what to do.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from api.settings import SECRET_FILE
from ledger.errors import LedgerError
from ledger.migrate import current, head
from ledger.proofs.sealing import sealing_lag
from ledger.proofs.signer import read_keys
from ledger.reading import read
from ledger.settings import PREFIX, boolean

GOOD, WARNING, BAD = "good", "warning", "bad"
MARIADB_OLDEST, MYSQL_OLDEST, REDIS_OLDEST = (10, 11), (8, 0), (7, 0)
SEALING_LAG_S_MAX = 300.0

Finding = dict[str, str]
Check = Callable[[], Iterator[Finding]]


def examine(
    environment: Mapping[str, str], *, log: sa.Engine, directory: sa.Engine, clients: Sequence[redis.Redis]
) -> list[Finding]:
    """Return every check's finding; a server that cannot be reached is one."""
    checks: tuple[tuple[str, Check], ...] = (
        ("settings", partial(_settings, environment)),
        ("database", partial(_database, log)),
        ("schema", partial(_schema, {"log": log, "directory": directory})),
        ("sealing", partial(_sealing, environment, log)),
        *(("redis", partial(_redis, client)) for client in clients),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except (LedgerError, redis.RedisError, sa.exc.SQLAlchemyError) as error:
            findings.append(_finding(name, BAD, str(error).splitlines()[0], "start the server, or correct its URL"))
    return findings


def _settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    if environment.get(PREFIX + "SECRET_KEY"):
        yield _finding("secret key", GOOD, "set")
    else:
        mend = f"set {PREFIX}SECRET_KEY to the same long random text for every process"
        yield _finding("secret key", WARNING, "not set; list cursors and login codes end with their process", mend)
    data = Path(environment.get(PREFIX + "DATA") or "var")
    if data.exists():
        if data.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield _finding("data directory", WARNING, f"{data} is open to other users", f"chmod 700 {data}")
        else:
            yield _finding("data directory", GOOD, f"{data} is private")
    secret = data / SECRET_FILE
    if secret.exists() and secret.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield _finding("secret file", BAD, "other users can read it", f"chmod 600 {secret}")
    if _is_on(environment, "EXECUTOR_ALLOW_PRIVATE", default=False):
        mend = f"unset {PREFIX}EXECUTOR_ALLOW_PRIVATE unless executors are on your own network"
        yield _finding("executors", WARNING, "may be at private addresses", mend)
    if not _is_on(environment, "SESSION_COOKIE_SECURE", default=True):
        mend = f"serve by HTTPS and unset {PREFIX}SESSION_COOKIE_SECURE"
        yield _finding("session cookie", WARNING, "is sent over HTTP, where others can read it", mend)
    if environment.get(PREFIX + "SMS_PROVIDER") == "console":
        yield _finding("login codes", WARNING, "are printed, not sent", f"set {PREFIX}SMS_PROVIDER to who sends them")


def _database(engine: sa.Engine) -> Iterator[Finding]:
    if engine.dialect.name == "sqlite":
        version = read(engine, lambda connection: connection.exec_driver_sql("SELECT sqlite_version()").scalar_one())
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
    if numbers >= oldest:
        yield _finding("database", GOOD, named)
    else:
        yield _finding("database", BAD, named, f"upgrade to {'.'.join(map(str, oldest))}")
    if found["innodb_flush_log_at_trx_commit"] == "1":
        yield _finding("commits", GOOD, "reach the disk")
    else:
        yield _finding("commits", BAD, "may be lost on a crash", "SET GLOBAL innodb_flush_log_at_trx_commit=1")
    if found.get("log_bin") == "ON":
        if found["sync_binlog"] == "1":
            yield _finding("binary log", GOOD, "is synced")
        else:
            yield _finding("binary log", BAD, "may miss commits after a crash", "SET GLOBAL sync_binlog=1")
    if is_mariadb and found.get("secure_timestamp") not in ("YES", "REPLICATION"):
        mend = "start the server with --secure-timestamp=YES"
        yield _finding("clock", WARNING, "a database user could set the time of a session", mend)


def _privileges(grants: list[str]) -> Finding:
    if any("ALL PRIVILEGES" in grant or "SUPER" in grant for grant in grants):
        mend = "use a user with the grants that `orderledger db grants` prints"
        return _finding("database user", WARNING, "may do anything, also change history", mend)
    return _finding("database user", GOOD, "has limited privileges")


def _schema(engines: Mapping[str, sa.Engine]) -> Iterator[Finding]:
    for history, engine in engines.items():
        at = read(engine, partial(current, history=history))
        if at == head(history):
            yield _finding("schema", GOOD, f"{history} is at revision {at}")
        else:
            yield _finding("schema", BAD, f"{history} is at revision {at or 'none'}", "orderledger db upgrade")


def _sealing(environment: Mapping[str, str], engine: sa.Engine) -> Iterator[Finding]:
    path = Path(environment.get(PREFIX + "SIGNING_KEY_FILE") or "signing-key")
    lag = read(engine, sealing_lag)
    if lag.seconds > SEALING_LAG_S_MAX:
        mend = "make a key with `orderledger audit keygen NAME`, and see what maintenance says of sealing"
        yield _finding("sealing", WARNING, f"{lag.events} events are under no signed checkpoint", mend)
    else:
        yield _finding("sealing", GOOD, f"{lag.events} events wait for a signed checkpoint")
    if path.exists():
        read_keys(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield _finding("signing key", BAD, "other users can read it", f"chmod 600 {path}")


def _redis(client: redis.Redis) -> Iterator[Finding]:
    info: Any = client.info()
    version = str(info["redis_version"])
    named = f"{info.get('server_name', 'redis')} {info.get('valkey_version', version)}"
    if tuple(int(part) for part in version.split(".")[:2]) >= REDIS_OLDEST:
        yield _finding("redis", GOOD, named)
    else:
        yield _finding("redis", BAD, named, "upgrade to Redis 7 or Valkey")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield _finding("redis memory", GOOD, f"policy when full: {policy}")
    else:
        mend = "CONFIG SET maxmemory-policy noeviction"
        yield _finding("redis memory", BAD, f"policy when full: {policy}", mend)


def _is_on(environment: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = environment.get(PREFIX + variable)
    return boolean(text) if text else default


def _finding(check: str, state: str, found: str, mend: str = "") -> Finding:
    return {"check": check, "state": state, "finding": found, "mend": mend}
