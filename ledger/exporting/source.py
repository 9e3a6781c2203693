"""What an export reads: the log's events, and what the writers of formats ask for beside them.

Reads the first replica that is fit, else the primary. When the server fails on the way, the next one is asked for what is
still wanted. The end of the log is read once; whatever came in later is not exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

import sqlalchemy as sa

from ledger import log, schema
from ledger.audit.findings import CannotTell
from ledger.audit.reading import PAGE_EVENTS, EventReader
from ledger.database import DatabaseError, open_reading_engine
from ledger.errors import CorruptLog
from ledger.exporting.events import ExportedEvent, broken, exported
from ledger.proofs.notes import Checkpoint, unopened
from ledger.proofs.sealing import Sealed, Stored, latest, sealed_from
from ledger.proofs.tree import GrowingTree, whole_roots
from ledger.replicas import sources
from ledger.settings import LedgerSettings
from ledger.trial import trial_balance

PAGE_LEAVES = 10_000
IDS_PER_QUERY = 1_000
Result = TypeVar("Result")


class Source:
    """A log to export, whose end is `head`.

    `origin`: the name it is sealed under, None before it is; `sealed_size`: how many of its events are.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._begin()

    def reach(self, position: int) -> None:
        """Go on at a server that has a position, with its end of the log, when this one has not."""
        if position > self.head:
            self._servers.reach(position)
            self._begin()

    def pages(self, first: int, last: int) -> Iterator[Sequence[ExportedEvent]]:
        """Yield the events with first ≤ position ≤ last, ascending. Raises CannotTell."""
        for start in range(first, last + 1, PAGE_EVENTS):
            # A page without rows is a gap, which whoever counts the events notices.
            yield self._servers.page(start, min(last, start + PAGE_EVENTS - 1))

    def event(self, position: int) -> ExportedEvent:
        """Return the event at a position. Raises CannotTell."""
        for event in chain.from_iterable(self.pages(position, position)):
            return event
        raise broken(position)

    def position_at(self, time_us: int) -> int:
        """Return the last position recorded at or before a time; 0 when there is none."""
        return min(self._servers.read(lambda connection: log.position_at(connection, time_us)), self.head)

    def tree_to(self, position: int) -> GrowingTree:
        """Return the tree over the events up to a position: from the stored hashes as far as the log is sealed."""

        def query(connection: sa.Connection) -> GrowingTree:
            tree, read = GrowingTree(), Stored(connection)
            for height, root in whole_roots(read, 0, min(position, self.sealed_size)):
                tree.add(root, height)
            while tree.size < position:
                for leaf in read(0, tree.size, min(PAGE_LEAVES, position - tree.size)):
                    tree.add(leaf)
            return tree

        return self._servers.read(query)

    def checkpoints(self, first: int, last: int) -> Sequence[Sealed]:
        """Return the checkpoints with first ≤ size ≤ last."""
        table = schema.checkpoints
        query = sa.select(table).where(table.c.size.between(first, last)).order_by(table.c.size)
        return self._servers.read(lambda connection: [sealed_from(row) for row in connection.execute(query)])

    def next_checkpoint(self, position: int) -> tuple[Sealed, Sequence[bytes]] | None:
        """Return the first checkpoint at or beyond a position, and the roots of the whole subtrees from there to its size."""
        table = schema.checkpoints
        first = sa.select(table).where(table.c.size >= position).order_by(table.c.size).limit(1)

        def query(connection: sa.Connection) -> tuple[Sealed, Sequence[bytes]] | None:
            row = connection.execute(first).first()
            if row is None:
                return None
            roots = whole_roots(Stored(connection), position, row.size)
            return sealed_from(row), [root for _, root in roots]

        return self._servers.read(query)

    def currencies(self, account_ids: Sequence[str]) -> dict[str, str]:
        """Return the currencies of these accounts."""
        table = schema.accounts.c

        def query(connection: sa.Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for start in range(0, len(account_ids), IDS_PER_QUERY):
                page = account_ids[start : start + IDS_PER_QUERY]
                rows = sa.select(table.account_id, table.currency).where(table.account_id.in_(page))
                found.update({row[0]: row[1] for row in connection.execute(rows)})
            return found

        return self._servers.read(query)

    def balances(self, position: int) -> dict[tuple[str, str], int]:
        """Return the sums of all postings up to a position, by ledger account and currency, from the events."""
        return self._servers.read(lambda connection: dict(trial_balance(connection, position).sums))

    def _begin(self) -> None:
        def query(connection: sa.Connection) -> tuple[Sealed | None, int]:
            return latest(connection), log.head(connection).position

        sealed, self.head = self._servers.read(query)
        # Who goes on with this export must have all of it.
        self._servers.position = self.head
        self.sealed_size = 0 if sealed is None else sealed.size
        self.origin = None if sealed is None else Checkpoint.parse(unopened(sealed.note)).origin


class Servers:
    """The servers that may be read, one at a time; when it fails, the next that has `position` goes on."""

    def __init__(self, settings: LedgerSettings, *, position: int = 0, until_us: int = -1) -> None:
        self._settings = settings
        self._until_us = until_us
        self.position = position
        self._failed: set[str] = set()
        self._reader: EventReader | None = None
        self._open()

    def read(self, query: Callable[[sa.Connection], Result]) -> Result:
        """Return what the query reads; it may run on more than one server."""

        def run() -> Result:
            with self._engine.connect() as connection:
                return query(connection)

        return self._asked(run)

    def page(self, first: int, last: int) -> Sequence[ExportedEvent]:
        """Return the events of one page."""

        def run() -> Sequence[ExportedEvent]:
            if self._reader is None:
                self._reader = EventReader(self._source.url, self._settings)
            return list(map(exported, chain.from_iterable(self._reader.pages(first, last))))

        return self._asked(run)

    def reach(self, position: int) -> None:
        """Go on at a server that has a position."""
        self.position = position
        self._abandon()
        self._open()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _asked(self, run: Callable[[], Result]) -> Result:
        for _ in range(len(self._settings.replica_urls)):
            try:
                return run()
            except Exception as error:
                if not self._source.is_replica or not _is_the_servers(error):
                    raise
                self._failed.add(self._source.url)
                self._abandon()
                self._open()
        return run()

    def _open(self) -> None:
        found = sources.sources(self._settings, position=self.position, until_us=self._until_us)
        self._source = next(each for each in found if each.url not in self._failed or not each.is_replica)
        self._engine = open_reading_engine(self._source.url, self._settings)

    def _abandon(self) -> None:
        try:
            self.close()
        except Exception as error:
            # A connection that is lost may not let itself be closed.
            if not _is_the_servers(error):
                raise


@contextmanager
def opened(settings: LedgerSettings, *, position: int = 0, until_us: int = -1) -> Iterator[Source]:
    """Yield the log to export, from a server that has `position` and is beyond `until_us`.

    Raises CannotTell when it cannot be read.
    """
    try:
        servers = Servers(settings, position=position, until_us=until_us)
        try:
            yield Source(servers)
        finally:
            servers.close()
    except CorruptLog:
        raise CannotTell(
            problem="the log is not whole; run `orderledger audit verify`, which says what is wrong"
        ) from None
    except (sa.exc.SQLAlchemyError, *DatabaseError) as error:
        raise CannotTell(problem=f"the log cannot be read: {str(error).partition(chr(10))[0]}") from None


def _is_the_servers(error: Exception) -> bool:
    """Say whether a server failed, not what it holds."""
    if isinstance(error, (sa.exc.SQLAlchemyError, *DatabaseError, OSError)):
        return True
    # mysqlclient may not be installed, so its errors are known by where they come from.
    return type(error).__module__.startswith("MySQLdb")
