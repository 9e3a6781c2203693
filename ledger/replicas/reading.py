"""Read the past from whichever replica may answer, in turn; from the primary when none may.

A read may say what it needs: a position that the server must have, or a time that it must be beyond. A replica's "there is
no such thing" is never believed: it may only not have it yet. An answer is of one moment of one server, and whoever asks
twice may see an older moment the second time, unless a position was needed.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa
import structlog

from ledger import log
from ledger.database import open_reading_engine
from ledger.errors import LedgerError
from ledger.figures import watch_pool
from ledger.reading import read
from ledger.replicas.looking import AWAY, Looking, ReplicaState, name_of
from ledger.settings import LedgerSettings

LOOK_INTERVAL_S = 1.0
"""How old what is known of a replica may be."""
STALE_S_MAX = 0.5
"""A connection lost sooner than this may only have been kept too long; a server that hangs takes longer to fail."""
WAIT_INTERVAL_S = 0.02
"""Between two questions whether a replica has reached a position."""

Result = TypeVar("Result")
Query = Callable[[sa.Connection], Result]
_log = structlog.get_logger(__name__)


class _Behind(Exception):
    """The replica has not got what the read needs."""


class Replicas:
    """The replicas of one process. Thread-safe; nothing connects before it is used."""

    def __init__(self, settings: LedgerSettings, primary: sa.Engine) -> None:
        self._settings = settings
        self._primary = primary
        self._replicas = [_Replica(url, settings) for url in settings.replica_urls]
        for index, replica in enumerate(self._replicas):
            watch_pool(name_of(index), replica.engine)
        self._looking = Looking(settings) if self._replicas else None
        self._one_looks = threading.Lock()
        self._look_due_s = 0.0
        self._turns = itertools.count()

    def read(self, query: Query[Result], *, position: int = 0, until_us: int = -1, wait_s: float = 0.0) -> Result:
        """Return what the query reads on a server that has `position` and is beyond `until_us` (never: -1).

        Waits so long for a replica that has not; then the primary answers, whatever it has. The query may run more than
        once. Raises ReadUnavailable when no server can answer, and what the query raises on the primary.
        """
        ends_at_s = time.monotonic() + wait_s
        while True:
            is_any_behind = False
            for replica in self._in_turn():
                try:
                    return replica.read(query, position, until_us)
                except _Behind:
                    is_any_behind = True
                except LedgerError:
                    return read(self._primary, query)
                except sa.exc.TimeoutError:
                    continue  # Its connections are all in use; that is no fault of the server's.
                except sa.exc.DBAPIError as error:
                    replica.rest(str(error.orig).partition("\n")[0])
            if not is_any_behind or time.monotonic() >= ends_at_s:
                return read(self._primary, query)
            time.sleep(WAIT_INTERVAL_S)

    def states(self) -> Sequence[ReplicaState]:
        """Look at every replica, now."""
        if self._looking is None:
            return []
        with self._one_looks:
            return self._look(self._looking)

    def close(self) -> None:
        """Close the connections."""
        for replica in self._replicas:
            replica.engine.dispose()
        if self._looking is not None:
            self._looking.close()

    def _in_turn(self) -> Iterator[_Replica]:
        if self._looking is None:
            return
        # Once something is known of the replicas, one reader looks and the others go by what was known.
        if time.monotonic() >= self._look_due_s and self._one_looks.acquire(blocking=self._look_due_s == 0.0):
            try:
                if time.monotonic() >= self._look_due_s:
                    self._look(self._looking)
            finally:
                self._one_looks.release()
        start = next(self._turns)
        for offset in range(len(self._replicas)):
            replica = self._replicas[(start + offset) % len(self._replicas)]
            if replica.may_be_read():
                yield replica

    def _look(self, looking: Looking) -> list[ReplicaState]:
        for index, replica in enumerate(self._replicas):
            if not replica.is_resting():
                replica.learn(looking.state(index))
        self._look_due_s = time.monotonic() + LOOK_INTERVAL_S
        return [replica.state for replica in self._replicas if replica.state is not None]


class _Replica:
    """One replica: its connections, what is known of it, and until when it is left alone."""

    def __init__(self, url: str, settings: LedgerSettings) -> None:
        self.engine = open_reading_engine(url, settings)
        self.state: ReplicaState | None = None
        self._retry_s = settings.replica_retry_s
        self._rests_until_s = 0.0

    def read(self, query: Query[Result], position: int, until_us: int) -> Result:
        """Run the query at one moment of the replica. Raises _Behind, DBAPIError, TimeoutError."""
        began_s = time.monotonic()
        try:
            return self._read(query, position, until_us)
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated or time.monotonic() - began_s > STALE_S_MAX:
                raise
        return self._read(query, position, until_us)

    def may_be_read(self) -> bool:
        """Say whether readers may be sent here."""
        return self.state is not None and self.state.problem is None and not self.is_resting()

    def is_resting(self) -> bool:
        """Say whether it failed so recently that it is left alone."""
        return time.monotonic() < self._rests_until_s

    def learn(self, state: ReplicaState) -> None:
        """Note what it is like."""
        before, self.state = self.state, state
        if (before is None or before.problem is None) and state.problem is not None:
            _log.warning("nothing is read from a replica now", replica=state.name, reason=state.problem)
        elif before is not None and before.problem is not None and state.problem is None:
            _log.info("a replica is read again", replica=state.name)
        if state.problem == AWAY:
            self._rests_until_s = time.monotonic() + self._retry_s

    def rest(self, reason: str) -> None:
        """Leave it alone for a while: a read failed there."""
        self._rests_until_s = time.monotonic() + self._retry_s
        if self.state is not None:
            self.state = dataclasses.replace(self.state, lag_events=None, lag_s=None, problem=AWAY)
            _log.warning("a read from a replica failed", replica=self.state.name, reason=reason, retry_s=self._retry_s)

    def _read(self, query: Query[Result], position: int, until_us: int) -> Result:
        with self.engine.connect() as connection:
            if position > 0 or until_us >= 0:
                head = log.head(connection)
                # Times never decrease along positions: what is beyond a time has all that was recorded until then.
                if head.position < position or head.recorded_at_us <= until_us:
                    raise _Behind
            return query(connection)
