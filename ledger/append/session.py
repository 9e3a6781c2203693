"""One database transaction of a committer: read under the head's lock, write, commit.

On MySQL a group costs two round trips, one to lock and read and one to write and commit, unless it is too large for
one packet.
"""

from __future__ import annotations

import math
import select
import sqlite3
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import pymysql
from pymysql.constants import COMMAND

from ledger.append.loading import Rows
from ledger.append.statements import PACKET_BYTES_MAX
from ledger.append.trouble import Trouble, trouble_of
from ledger.database import CONFIRMING, open_append_connection, opened_cluster
from ledger.nodes.looking import keep_in_step
from ledger.safety.server import ensure_kept
from ledger.settings import LedgerSettings

LOOK_S = 0.0005
"""How long a lock that nobody else holds may take to come."""

DECIDING_S_MAX = 5
"""No group is decided for longer than this while it holds the head's lock and says nothing to the server."""


class Session:
    """The committer's connection, made when first needed and made anew after `discard`.

    A transaction begins with the head's lock. On MySQL the lock of the next one may ride on the commit of the one before.
    With several nodes the connection leads to the one that is written to now.
    """

    def __init__(self, url: str, settings: LedgerSettings) -> None:
        self._url = url
        self._settings = settings
        self._connection: Any = None
        self._cluster = opened_cluster(url, settings)
        self._is_stepwise = False
        """Whether every statement is a round trip of its own, and a commit is confirmed.

        Galera aborts a transaction that another node was faster than, between any two statements. When they come in one
        packet the next ones go on in a transaction of their own, and half a group is committed (measured). A node
        that is being cut off may say that it committed what nobody else has got; a read that waits for the cluster then
        fails.
        """
        self.mysql = not url.startswith("sqlite")
        self.round_trips = 0
        self._unread = 0
        self.is_locking = False
        """Whether the head's lock was asked for with the last commit and its answer is still to be read."""
        self._doubtful: set[int | None] = set()
        """The nodes that a commit was sent to whose effect is not known."""

    @property
    def has_other_nodes(self) -> bool:
        """Whether another node may do what one cannot."""
        return self._cluster is not None

    @property
    def is_leaving(self) -> bool:
        """Whether the connection leads to a node that is not written to any more."""
        return self._cluster is not None and self._connection is not None and self._cluster.is_left(self._connection)

    @property
    def in_doubt(self) -> bool:
        """Whether a commit was sent whose effect is not known.

        The next read under the head's lock at the same node settles it, for the lock waits for the late commit. At
        another node only a commit of the same keys does, or having read them as stored: a late commit then fails for
        holding one of them.
        """
        return len(self._doubtful) > 0

    def settle(self) -> None:
        """Note that what was in doubt is known, or nobody asks any more."""
        self._doubtful.clear()

    def begin(self, statements: Sequence[str]) -> list[Rows]:
        """Begin a transaction, run the statements, the head's lock first, and return their rows. Raises UnsafeServer."""
        if self.is_leaving:
            self.discard()
        if self._connection is None:
            self._connect()
        if not self.mysql:
            self._connection.execute("BEGIN IMMEDIATE")
        results = self.read(statements)
        self._doubtful.discard(self._place())
        return results

    def is_lock_here(self) -> bool:
        """Say whether the head's lock that was asked for is there, or comes within a moment."""
        socket, buffer = self._connection._sock, self._connection._rfile
        # Never by a time-out on the buffer: after one it would read no more.
        socket.settimeout(0)
        try:
            is_buffered = len(buffer.peek(1)) > 0
        except ssl.SSLWantReadError:
            # What a plain socket says by an empty answer.
            is_buffered = False
        finally:
            socket.settimeout(self._settings.statement_timeout_s)
        if is_buffered:
            return True
        # Not select(), which takes no descriptor above 1023: a busy server has more connections than that.
        looking = select.poll()
        looking.register(socket, select.POLLIN)
        return len(looking.poll(LOOK_S * 1_000)) > 0

    def locked(self) -> Rows:
        """Return the row of the head's lock that the last commit asked for."""
        self.is_locking = False
        return self._receive()

    def read(self, statements: Sequence[str]) -> list[Rows]:
        """Run statements and return their rows."""
        if not self.mysql:
            return [self._connection.execute(statement).fetchall() for statement in statements]
        if self._is_stepwise:
            return [self._alone(statement) for statement in statements]
        self._send(statements)
        return [self._receive() for _ in statements]

    def write(self, statements: Sequence[str]) -> None:
        """Run statements without waiting for the end of the last ones."""
        if self.mysql:
            if self._is_stepwise:
                self.read(statements)
                return
            for packet in _packets(statements):
                self._send(packet)
            return
        for statement in statements:
            self._connection.execute(statement)

    def write_and_commit(
        self, statements: Sequence[str], *, meanwhile: Callable[[], None], locking: str | None = None
    ) -> None:
        """Run the statements and commit, in as few round trips as the packet size allows.

        `meanwhile` is called while the server works. With `locking`, MySQL goes on with that statement, whose row
        `locked` waits for.
        """
        if not self.mysql:
            meanwhile()
            self.write(statements)
            self._doubtful.add(None)
            self._connection.execute("COMMIT")
            self.settle()
            return
        if self._is_stepwise:
            meanwhile()
            self.read(statements)
            self._commit(["COMMIT"], [], lambda: None)
            return
        *packets, last = _packets(statements)
        for packet in packets:
            self._send(packet)
        self._commit([*last, "COMMIT"], [] if locking is None else [locking], meanwhile)

    def _confirm(self) -> None:
        if self._is_stepwise:
            self._alone(CONFIRMING)
            self._alone("ROLLBACK")

    def rollback(self) -> None:
        """Undo the transaction; a connection that cannot even do that is discarded."""
        if self._connection is None:
            return
        try:
            if self.mysql:
                self._drain()
                self._connection.rollback()
            elif self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except (pymysql.err.Error, sqlite3.Error, OSError):
            self.discard()
        self.is_locking = False

    def suspect(self) -> None:
        """Discard the connection and have its node looked at: it did not do what it should."""
        if self._cluster is not None and self._connection is not None:
            self._cluster.doubt(self._connection)
        self.discard()

    def discard(self) -> None:
        """Close the connection without a word to the server."""
        connection, self._connection = self._connection, None
        self._unread, self.is_locking = 0, False
        if connection is None:
            return
        try:
            if self.mysql:
                connection._force_close()  # close() would write to a socket that may be frozen
            else:
                connection.close()
        except (pymysql.err.Error, sqlite3.Error, OSError):
            pass

    def _connect(self) -> None:
        self._connection = open_append_connection(self._url, self._settings)
        if not self.mysql:
            return
        try:
            self._is_stepwise = keep_in_step(self._connection)
            self.read([_giving_up_idle(self._settings)])
            # The connection may lead to another server than the one before.
            ensure_kept(lambda query: self.read([query])[0], self._settings.allow_unsafe)
        except BaseException:
            # Nobody would ask again: the next transaction takes a connection that is there for one that was checked.
            self.discard()
            raise

    def _place(self) -> int | None:
        return None if self._cluster is None or self._connection is None else self._cluster.place_of(self._connection)

    def _alone(self, statement: str) -> Rows:
        self._send([statement])
        return self._receive()

    # The driver's own query() waits for the answer to what it sent; here the answer may be fetched later, so that the
    # server works while the next statements are made.

    def _send(self, statements: Sequence[str]) -> None:
        self._drain()
        self.round_trips += 1
        self._connection._execute_command(COMMAND.COM_QUERY, ";".join(statements).encode("ascii"))
        self._unread = len(statements)

    def _receive(self) -> Rows:
        try:
            self._connection._read_query_result()
        except BaseException:
            # The server stops at the first statement that fails.
            self._unread = 0
            raise
        self._unread -= 1
        rows: Rows = self._connection._result.rows or ()
        return rows

    def _drain(self) -> None:
        while self._unread:
            self._receive()

    def _commit(self, statements: Sequence[str], following: Sequence[str], meanwhile: Callable[[], None]) -> None:
        self._drain()
        place = self._place()
        self._doubtful.add(place)
        answered = 0
        try:
            self._send([*statements, *following])
            meanwhile()
            while answered < len(statements):
                self._receive()
                answered += 1
        except pymysql.err.Error as error:
            # The server stops at the first statement that fails, so it did not commit when it named an earlier one.
            if trouble_of(error) is not Trouble.LOST and answered < len(statements) - 1:
                self._doubtful.discard(place)
            raise
        self._confirm()
        self.settle()
        self.is_locking = len(following) > 0


def _giving_up_idle(settings: LedgerSettings) -> str:
    """Return the statement by which MariaDB gives a connection up that keeps the head's lock and says nothing.

    Whoever hangs, or lost its host, would stop all others until the server finds out, for hours perhaps. An answer may
    take as long as we wait for one. MySQL has nothing like it: what it takes for a comment is left out there.
    """
    idle_s = math.ceil(settings.statement_timeout_s) + DECIDING_S_MAX
    return f"SET SESSION innodb_lock_wait_timeout={settings.lock_timeout_s}/*M!,idle_transaction_timeout={idle_s}*/"


def _packets(statements: Sequence[str]) -> list[list[str]]:
    """Divide statements among packets that a server takes; the last may be empty."""
    packets: list[list[str]] = [[]]
    size = 0
    for statement in statements:
        if packets[-1] and size + len(statement) > PACKET_BYTES_MAX:
            packets.append([])
            size = 0
        packets[-1].append(statement)
        size += len(statement)
    return packets
