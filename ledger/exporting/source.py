"""What an export reads: the log's events, and what the writers of formats ask for beside them.

Reads the first read replica when there is one. The end of the log is read once; whatever came in later is not exported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import sqlalchemy as sa

from ledger import log, schema
from ledger.audit.findings import CannotTell
from ledger.audit.reading import EventReader
from ledger.audit.verification import audit_url
from ledger.database import DatabaseError, open_engine
from ledger.errors import CorruptLog
from ledger.exporting.events import ExportedEvent, broken, exported
from ledger.proofs.notes import Checkpoint, unopened
from ledger.proofs.sealing import Sealed, Stored, latest, sealed_from
from ledger.proofs.tree import GrowingTree, whole_roots
from ledger.settings import LedgerSettings
from ledger.trial import trial_balance

PAGE_LEAVES = 10_000
IDS_PER_QUERY = 1_000


class Source:
    """A log to export, whose end is `head`.

    `origin`: the name it is sealed under, None before it is; `sealed_size`: how many of its events are.
    """

    def __init__(self, engine: sa.Engine, reader: EventReader) -> None:
        self._engine = engine
        self._reader = reader
        with engine.connect() as connection:
            sealed = latest(connection)
            self.head = log.head(connection).position
        self.sealed_size = 0 if sealed is None else sealed.size
        self.origin = None if sealed is None else Checkpoint.parse(unopened(sealed.note)).origin

    def pages(self, first: int, last: int) -> Iterator[Sequence[ExportedEvent]]:
        """Yield the events with first ≤ position ≤ last, ascending. Raises CannotTell."""
        for rows in self._reader.pages(first, last):
            # A page without rows is a gap, which whoever counts the events notices.
            yield list(map(exported, rows))

    def event(self, position: int) -> ExportedEvent:
        """Return the event at a position. Raises CannotTell."""
        for event in chain.from_iterable(self.pages(position, position)):
            return event
        raise broken(position)

    def position_at(self, time_us: int) -> int:
        """Return the last position recorded at or before a time; 0 when there is none."""
        with self._engine.connect() as connection:
            return min(log.position_at(connection, time_us), self.head)

    def tree_to(self, position: int) -> GrowingTree:
        """Return the tree over the events up to a position: from the stored hashes as far as the log is sealed."""
        tree = GrowingTree()
        with self._engine.connect() as connection:
            read = Stored(connection)
            for height, root in whole_roots(read, 0, min(position, self.sealed_size)):
                tree.add(root, height)
            while tree.size < position:
                for leaf in read(0, tree.size, min(PAGE_LEAVES, position - tree.size)):
                    tree.add(leaf)
        return tree

    def checkpoints(self, first: int, last: int) -> Sequence[Sealed]:
        """Return the checkpoints with first ≤ size ≤ last."""
        table = schema.checkpoints
        query = sa.select(table).where(table.c.size.between(first, last)).order_by(table.c.size)
        with self._engine.connect() as connection:
            return [sealed_from(row) for row in connection.execute(query)]

    def next_checkpoint(self, position: int) -> tuple[Sealed, Sequence[bytes]] | None:
        """Return the first checkpoint at or beyond a position, and the roots of the whole subtrees from there to its size."""
        table = schema.checkpoints
        query = sa.select(table).where(table.c.size >= position).order_by(table.c.size).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            roots = whole_roots(Stored(connection), position, row.size)
            return sealed_from(row), [root for _, root in roots]

    def currencies(self, account_ids: Sequence[str]) -> dict[str, str]:
        """Return the currencies of these accounts."""
        found: dict[str, str] = {}
        table = schema.accounts.c
        with self._engine.connect() as connection:
            for start in range(0, len(account_ids), IDS_PER_QUERY):
                page = account_ids[start : start + IDS_PER_QUERY]
                query = sa.select(table.account_id, table.currency).where(table.account_id.in_(page))
                found.update({row[0]: row[1] for row in connection.execute(query)})
        return found

    def balances(self, position: int) -> dict[tuple[str, str], int]:
        """Return the sums of all postings up to a position, by ledger account and currency, from the events."""
        with self._engine.connect() as connection:
            return dict(trial_balance(connection, position).sums)


@contextmanager
def opened(settings: LedgerSettings) -> Iterator[Source]:
    """Yield the log to export. Raises CannotTell when it cannot be read."""
    url = audit_url(settings)
    engine = open_engine(url, settings)
    try:
        reader = EventReader(url, settings)
        try:
            yield Source(engine, reader)
        finally:
            reader.close()
    except CorruptLog:
        raise CannotTell(
            problem="the log is not whole; run `orderledger audit verify`, which says what is wrong"
        ) from None
    except (sa.exc.SQLAlchemyError, *DatabaseError) as error:
        raise CannotTell(problem=f"the log cannot be read: {str(error).partition(chr(10))[0]}") from None
    finally:
        engine.dispose()
