"""The nodes of one cluster as a process sees them: watched all the time, written to one at a time.

A thread a node looks at it every second over a connection of its own, so that a node that hangs is noticed by somebody
who does not wait for an answer of importance. When the process leaves a node that is unfit, the connections to it are
cut: who waits there goes on elsewhere within its own deadline. When it goes back to a better node, nothing is cut;
connections to the other one end with what they are doing.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import pymysql
import structlog

from ledger.nodes.choosing import Standing, choose, groups_of
from ledger.nodes.connecting import Connection
from ledger.nodes.looking import GONE, TOO_MANY_CONNECTIONS, Fitness, Look, keep_in_step, look_through

LOOK_INTERVAL_S = 1.0
LOOK_TIMEOUT_S = 2.0
"""Longest wait for a node's answer to a look."""
FIRST_LOOKS_S_MAX = 2 * LOOK_TIMEOUT_S
"""How long the first connection of a process waits until every node was looked at."""
FIT_WAIT_S_MAX = 2.0
"""How long a connection waits for a node to become fit."""

Arguments = Mapping[str, Any]
"""What the driver connects with."""

Seen = Look | Literal["says nothing"] | None
"""What a look came to; None: there was no answer in time."""
SAYS_NOTHING: Final = "says nothing"
"""The node lives, but has no connection left to ask it: what was known of it stays."""

_log = structlog.get_logger(__name__)


def cluster_of(nodes: Sequence[tuple[str, Arguments]]) -> Cluster:
    """Return the cluster of these nodes, named and in order of preference; the same one for all who ask for it."""
    key = repr(nodes)
    with _SHARING:
        cluster = _SHARED.get(key)
        if cluster is None:
            cluster = _SHARED[key] = Cluster(nodes)
        return cluster


class Cluster:
    """Nodes in order of preference; thread-safe. The watching ends when nobody holds the object any more."""

    def __init__(self, nodes: Sequence[tuple[str, Arguments]]) -> None:
        self._nodes = list(nodes)
        self._begin()
        reference = weakref.ref(self)

        def begin_in_child() -> None:
            # A forked child has none of the threads, and must not touch the connections.
            cluster = reference()
            if cluster is not None:
                cluster._begin()

        os.register_at_fork(after_in_child=begin_in_child)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._standings = [Standing()] * len(self._nodes)
        self._looks = [0] * len(self._nodes)
        """How often each node was looked at."""
        self._current: int | None = None
        self._watching = False
        self._doubts = [threading.Event() for _ in self._nodes]
        self._confirmed: weakref.WeakSet[pymysql.Connection[Any]] = weakref.WeakSet()
        self._places: weakref.WeakKeyDictionary[pymysql.Connection[Any], int] = weakref.WeakKeyDictionary()

    def connect(self, **more: Any) -> pymysql.Connection[Any]:
        """Connect to the node that is written to now; `more` goes to the driver.

        Raises OperationalError, as for a server that is gone, when no node is fit or the fit one is not any more.
        """
        for _ in range(len(self._nodes)):
            index = self._settled()
            if index is None:
                break
            looks = self._looks[index]
            try:
                return self._connected(index, more)
            except pymysql.err.OperationalError as error:
                if error.args[0] in TOO_MANY_CONNECTIONS or not self._is_left_after(index, looks):
                    raise
        raise pymysql.err.OperationalError(2003, "no database node takes writes now")

    def _connected(self, index: int, more: Mapping[str, Any]) -> pymysql.Connection[Any]:
        connection = Connection(**{**self._nodes[index][1], **more})
        try:
            look = look_through(connection)
            if look.fitness is Fitness.UNFIT:
                raise pymysql.err.OperationalError(2003, f"a database node takes no writes: {look.reason}")
            if look.is_galera:
                keep_in_step(connection)
        except BaseException:
            connection._force_close()  # type: ignore[attr-defined]
            raise
        with self._changed:
            self._places[connection] = index
            if look.is_galera:
                self._confirmed.add(connection)
        return connection

    def _is_left_after(self, index: int, looks: int) -> bool:
        """Have a node looked at again, and say whether the process leaves it."""
        self._doubts[index].set()
        with self._changed:
            # One look may have begun before the doubt.
            self._changed.wait_for(lambda: self._current != index or self._looks[index] > looks + 1, 2 * LOOK_TIMEOUT_S)
            return self._current != index

    def place_of(self, connection: pymysql.Connection[Any]) -> int | None:
        """Return the index of the node that a connection leads to."""
        with self._changed:
            return self._places.get(connection)

    def is_confirming(self, connection: pymysql.Connection[Any]) -> bool:
        """Say whether a commit over this connection holds only once a read after it has succeeded.

        A Galera node that is being cut off may still say that it committed what nobody else has got, and forget it when
        it joins again. A read that waits for the whole cluster fails there.
        """
        with self._changed:
            return connection in self._confirmed

    def is_left(self, connection: pymysql.Connection[Any]) -> bool:
        """Say whether a connection leads to a node that this process does not write to any more."""
        with self._changed:
            place = self._places.get(connection)
            return place is not None and place != self._current

    def doubt(self, connection: pymysql.Connection[Any]) -> None:
        """Have the connection's node looked at now: it did not do what it should."""
        with self._changed:
            place = self._places.get(connection)
        if place is not None:
            self._doubts[place].set()

    def looks(self) -> list[tuple[str, Look | None]]:
        """Return every node's name with the last look at it; None: it did not answer (yet)."""
        self._settled()
        with self._changed:
            return [
                (name, each.look if each.misses == 0 else None)
                for (name, _), each in zip(self._nodes, self._standings, strict=True)
            ]

    def is_split(self) -> bool:
        """Say whether several nodes take writes that no engine keeps in step: then none is written to."""
        with self._changed:
            return len(groups_of(self._standings)) > 1

    def _settled(self) -> int | None:
        """Return the node to write to, waiting a little for the first looks, or for a node to become fit."""
        with self._changed:
            if not self._watching:
                self._watching = True
                for index, (_, arguments) in enumerate(self._nodes):
                    _watch(self, index, arguments, self._doubts[index])
            self._changed.wait_for(lambda: all(self._looks), FIRST_LOOKS_S_MAX)
            self._changed.wait_for(lambda: self._current is not None, FIT_WAIT_S_MAX)
            return self._current

    def note(self, index: int, seen: Seen) -> None:
        """Take in one more look at a node."""
        with self._changed:
            if seen != SAYS_NOTHING:
                self._standings[index] = self._standings[index].after(seen)
            self._looks[index] += 1
            if all(self._looks):
                before, self._current = self._current, choose(self._standings, self._current)
                if before != self._current:
                    self._report(before)
            if self._standings[index].fitness is Fitness.UNFIT:
                self._cut(index)
            self._changed.notify_all()

    def _report(self, before: int | None) -> None:
        names = [name for name, _ in self._nodes]
        now = None if self._current is None else names[self._current]
        if self.is_split():
            _log.error("database-nodes-split", problem="several servers take writes that are no cluster", nodes=names)
        elif before is not None or now is None:
            _log.warning("database-node-changed", before=None if before is None else names[before], now=now)

    def _cut(self, index: int) -> None:
        for connection, place in list(self._places.items()):
            if place == index:
                # From another thread only this is safe: whoever waits for an answer learns that there is none.
                with suppress(OSError, AttributeError):
                    connection._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


_SHARING = threading.Lock()
_SHARED: weakref.WeakValueDictionary[str, Cluster] = weakref.WeakValueDictionary()


def _watch(cluster: Cluster, index: int, arguments: Arguments, doubt: threading.Event) -> None:
    reference = weakref.ref(cluster)
    threading.Thread(target=_looking, args=(reference, index, arguments, doubt), name="nodes", daemon=True).start()


def _looking(reference: weakref.ref[Cluster], index: int, arguments: Arguments, doubt: threading.Event) -> None:
    quick = {**arguments, "connect_timeout": LOOK_TIMEOUT_S, "read_timeout": LOOK_TIMEOUT_S}
    quick |= {"write_timeout": LOOK_TIMEOUT_S, "autocommit": True}
    connection: pymysql.Connection[Any] | None = None
    try:
        while True:
            # Cleared before the look: a doubt that arises meanwhile deserves another one.
            doubt.clear()
            began_s = time.monotonic()
            connection, seen = _look(connection, quick)
            cluster = reference()
            if cluster is None:
                return
            cluster.note(index, seen)
            del cluster
            doubt.wait(max(0.0, LOOK_INTERVAL_S - (time.monotonic() - began_s)))
    finally:
        if connection is not None:
            connection._force_close()  # type: ignore[attr-defined]


def _look(
    connection: pymysql.Connection[Any] | None, arguments: dict[str, Any]
) -> tuple[pymysql.Connection[Any] | None, Seen]:
    """Return the connection for the next look, and what this one saw."""
    for _ in range(2):
        was_open = connection is not None
        try:
            connection = connection or Connection(**arguments)
            return connection, look_through(connection)
        except (pymysql.err.Error, OSError) as error:
            if connection is not None:
                connection._force_close()  # type: ignore[attr-defined]
            connection = None
            timed_out = isinstance(_cause_of(error), TimeoutError)
            if was_open and not timed_out:
                # Closed by a restart, or for its age: that says nothing of the server as it is now.
                continue
            if error.args and error.args[0] in TOO_MANY_CONNECTIONS:
                return None, SAYS_NOTHING
            return None, None if timed_out else GONE
    return None, GONE


def _cause_of(error: BaseException) -> BaseException | None:
    return getattr(error, "original_exception", None) or error.__cause__ or error.__context__
