"""What the replicas are like: how far behind, of which log, whether they may be read.

Looking never takes long: a server that hangs must not hang whoever asks how it is.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import log, schema
from ledger.clock import now_us
from ledger.database import database_url, node_urls, open_reading_engine
from ledger.errors import LedgerError
from ledger.settings import LedgerSettings

LOOK_S_MAX = 1.0
"""Longest wait for a server's answer while looking at it."""
AWAY = "cannot be read"
OTHER_LOG = "holds another log"
BEHIND = "is too far behind"
NO_REPLICA = (sa.exc.SQLAlchemyError, LedgerError)
"""What keeps a server from being read as a replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaState:
    """What a replica was like when it was last looked at.

    `name`: its place among the URLs; `address`: where it is, without user and password. `lag_s`: the age of the first
    event that it lacks; lags are None while the primary cannot be asked. `problem`: why nothing is read from it.
    `is_read_only`: whether the server refuses others' writes; None where that cannot be said.
    """

    name: str
    address: str
    position: int | None = None
    lag_events: int | None = None
    lag_s: float | None = None
    is_read_only: bool | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    position: int
    leaf: bytes | None
    is_read_only: bool | None


class Looking:
    """Looks at the replicas of the settings and holds them against the primary. Thread-safe but for `states`' caller."""

    def __init__(self, settings: LedgerSettings) -> None:
        self._settings = settings
        quick = dataclasses.replace(
            settings,
            connect_timeout_s=min(settings.connect_timeout_s, LOOK_S_MAX),
            statement_timeout_s=min(settings.statement_timeout_s, LOOK_S_MAX),
        )
        # A connection that was kept could be one to a server that has gone and come back since.
        self._engines = [open_reading_engine(url, quick, pooled=False) for url in settings.replica_urls]
        self._primary = open_reading_engine(database_url(settings), quick, pooled=False)
        self._primary_away_until_s = 0.0
        self._others: set[int] = set()

    def state(self, index: int) -> ReplicaState:
        """Look at a replica, by its place among the URLs."""
        named = ReplicaState(name=name_of(index), address=address_of(self._settings.replica_urls[index]))
        try:
            seen = _look(self._engines[index])
        except NO_REPLICA:
            return dataclasses.replace(named, problem=AWAY)
        named = dataclasses.replace(named, position=seen.position, is_read_only=seen.is_read_only)
        # After the replica, so that it is never seen ahead of its primary.
        compared = self._compared(seen)
        if compared is None:
            return dataclasses.replace(named, problem=OTHER_LOG if index in self._others else None)
        head, is_same, lag_s = compared
        named = dataclasses.replace(named, lag_events=max(0, head - seen.position), lag_s=lag_s)
        if not is_same:
            self._others.add(index)
            return dataclasses.replace(named, problem=OTHER_LOG)
        self._others.discard(index)
        return dataclasses.replace(named, problem=BEHIND if lag_s > self._settings.replica_lag_s_max else None)

    def states(self) -> Sequence[ReplicaState]:
        """Look at every replica."""
        return [self.state(index) for index in range(len(self._engines))]

    def close(self) -> None:
        """Close the connections."""
        for engine in (*self._engines, self._primary):
            engine.dispose()

    def _compared(self, seen: _Seen) -> tuple[int, bool, float] | None:
        """Return the primary's head, whether it has the same log, and the lag in seconds; None while it is away."""
        if time.monotonic() < self._primary_away_until_s:
            return None
        events = schema.events.c
        columns = sa.select(events.position, events.leaf_hash, events.recorded_at_us)
        try:
            with self._primary.connect() as connection:
                head = log.head(connection).position
                found = connection.execute(columns.where(events.position.between(seen.position, seen.position + 1)))
                rows = {row.position: row for row in found}
        except NO_REPLICA:
            self._primary_away_until_s = time.monotonic() + self._settings.replica_retry_s
            return None
        at, following = rows.get(seen.position), rows.get(seen.position + 1)
        lag_s = 0.0 if following is None else max(0.0, (now_us() - following.recorded_at_us) / 1_000_000)
        return head, seen.position == 0 or (at is not None and bytes(at.leaf_hash) == seen.leaf), lag_s


def looked_at(settings: LedgerSettings) -> Sequence[ReplicaState]:
    """Look at every replica once."""
    if not settings.replica_urls:
        return []
    looking = Looking(settings)
    try:
        return looking.states()
    finally:
        looking.close()


def name_of(index: int) -> str:
    """Return what a replica is called, by its place among the URLs."""
    return f"replica {index + 1}"


def address_of(url: str) -> str:
    """Return where a server is, the first one of several nodes, without user and password."""
    parsed, *_ = node_urls(url)
    socket = parsed.query.get("unix_socket")
    host = parsed.host or (socket if isinstance(socket, str) else "")
    port = f":{parsed.port}" if parsed.port else ""
    return f"{host}{port}/{parsed.database}" if host else str(parsed.database)


def _look(engine: sa.Engine) -> _Seen:
    with engine.connect() as connection:
        position = log.head(connection).position
        at = sa.select(schema.events.c.leaf_hash).where(schema.events.c.position == position)
        leaf = connection.execute(at).scalar()
        is_read_only = None
        if engine.dialect.name != "sqlite":
            is_read_only = bool(connection.exec_driver_sql("SELECT @@GLOBAL.read_only").scalar_one())
        return _Seen(position, None if leaf is None else bytes(leaf), is_read_only)
