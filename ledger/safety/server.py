"""Whether a MariaDB or MySQL server keeps what it acknowledges, and understands our sessions as we mean them.

One query reads everything. The committer asks the same of each new connection (`ensure_kept`), so that a server that
was away at the start, or another one after a failover, takes no command before it was looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ledger.clock import now_us
from ledger.errors import UnsafeServer
from ledger.safety.checks import BAD, GOOD, WARNING, Finding, finding, refusals, with_accepted

MARIADB_OLDEST, MYSQL_OLDEST = (10, 11), (8, 0)
PACKET_BYTES_MIN = 16 * 1024 * 1024
"""A group is sent in packets of up to 4 MiB, and one command's documents may be larger than that."""
CLOCK_US_MAX = 5_000_000
"""Most that the clocks of the server and this host may differ: a part of an agent's lease and of a login code's life."""
STRICT = (
    "STRICT_ALL_TABLES",
    "NO_ENGINE_SUBSTITUTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ERROR_FOR_DIVISION_BY_ZERO",
)
LAX = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "PAD_CHAR_TO_FULL_LENGTH")
"""Modes under which a statement of ours would mean something else."""
VARIABLES = (
    "version",
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "sync_binlog",
    "log_bin",
    "binlog_format",
    "sql_mode",
    "character_set_client",
    "character_set_connection",
    "max_allowed_packet",
    "max_connections",
    "secure_timestamp",
    "timestamp",
)
QUERY = f"SHOW SESSION VARIABLES WHERE variable_name IN {VARIABLES}"
"""A session's view: its own values where it has any, else the server's."""

Variables = Mapping[str, str]


def variables(rows: Sequence[Sequence[Any]]) -> Variables:
    """Return the rows of QUERY by name, with this host's time beside the server's."""
    return {**{str(row[0]).lower(): str(row[1]) for row in rows}, "host_time_us": str(now_us())}


def findings_of_server(found: Variables) -> Iterator[Finding]:
    """Yield what the variables say."""
    yield from _version(found)
    yield from findings_of_keeping(found)
    yield _clock(found)
    if "secure_timestamp" in found and found["secure_timestamp"] not in ("YES", "REPLICATION"):
        mend = "start the server with --secure-timestamp=YES"
        yield finding("session time", WARNING, "a database user could set the time of a session", mend)


def findings_of_keeping(found: Variables) -> Iterator[Finding]:
    """Yield what decides whether a commit lasts, and whether it says what we meant."""
    yield from _durability(found)
    yield from _binary_log(found)
    yield from _sessions(found)


def ensure_kept(query: Callable[[str], Sequence[Sequence[Any]]], accepted: Sequence[str]) -> None:
    """Raise UnsafeServer unless the server behind a new connection keeps what it acknowledges."""
    found = refusals(with_accepted(findings_of_keeping(variables(query(QUERY))), accepted))
    if found:
        raise UnsafeServer(findings=tuple((each["check"], each["mend"]) for each in found))


def _version(found: Variables) -> Iterator[Finding]:
    version = found["version"]
    is_mariadb = "mariadb" in version.lower()
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    oldest = MARIADB_OLDEST if is_mariadb else MYSQL_OLDEST
    named = f"{'MariaDB' if is_mariadb else 'MySQL'} {version}"
    if numbers >= oldest:
        yield finding("database version", GOOD, named)
    else:
        yield finding("database version", BAD, named, f"upgrade to {'.'.join(map(str, oldest))}")


def _durability(found: Variables) -> Iterator[Finding]:
    if found["innodb_flush_log_at_trx_commit"] == "1":
        yield finding("commits", GOOD, "reach the disk")
    else:
        yield finding("commits", BAD, "may be lost on a crash", "SET GLOBAL innodb_flush_log_at_trx_commit=1")
    if found.get("innodb_doublewrite", "ON").upper() in ("OFF", "0", "DETECT_ONLY"):
        mend = "start the server with --innodb-doublewrite=1"
        yield finding("page writes", BAD, "a page half written in a crash is not mended", mend)
    else:
        yield finding("page writes", GOOD, "survive a crash")


def _binary_log(found: Variables) -> Iterator[Finding]:
    if found.get("log_bin") != "ON":
        return
    if found["sync_binlog"] == "1":
        yield finding("binary log", GOOD, "is synced")
    else:
        yield finding("binary log", BAD, "may miss commits after a crash", "SET GLOBAL sync_binlog=1")
    if found.get("binlog_format", "ROW") == "STATEMENT":
        mend = "SET GLOBAL binlog_format='ROW'"
        yield finding("binary log format", BAD, "takes no commits of our isolation level", mend)


def _sessions(found: Variables) -> Iterator[Finding]:
    modes = frozenset(found["sql_mode"].split(","))
    missing, odd = [mode for mode in STRICT if mode not in modes], [mode for mode in LAX if mode in modes]
    if missing or odd:
        mend = "let nothing between here and the server (a proxy, init_connect) change the sql_mode of our sessions"
        yield finding("sql mode", BAD, f"sessions get another one: {' '.join([*missing, *odd])}", mend)
    else:
        yield finding("sql mode", GOOD, "is strict in our sessions")
    sets = {found["character_set_client"], found["character_set_connection"]}
    if sets != {"utf8mb4"}:
        mend = "start the server without --skip-character-set-client-handshake"
        yield finding("character set", BAD, f"sessions get another one: {' '.join(sorted(sets))}", mend)
    if int(found["max_allowed_packet"]) < PACKET_BYTES_MIN:
        problem = f"{int(found['max_allowed_packet'])} bytes are fewer than a command may have"
        yield finding("packet size", BAD, problem, f"SET GLOBAL max_allowed_packet={PACKET_BYTES_MIN}")


def _clock(found: Variables) -> Finding:
    difference_us = abs(round(float(found["timestamp"]) * 1_000_000) - int(found["host_time_us"]))
    if difference_us <= CLOCK_US_MAX:
        return finding("clock", GOOD, "this host and the database agree")
    problem = f"this host and the database differ by {difference_us / 1_000_000:.0f} s"
    return finding("clock", BAD, problem, "have both keep time with NTP")
