"""Sealing: the tree's hashes and the signed checkpoints that the database keeps, and what is read from them.

The leaves stand in the events. Of the levels above only whole entries are stored, each once and for ever: one hash for 256
events, one for 65,536, and so on. Everything else is computed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import log, schema
from ledger.clock import now_us
from ledger.errors import CorruptLog
from ledger.leaf import LEAF_FIELDS, leaf_bytes
from ledger.proofs.notes import EventProof
from ledger.proofs.signer import Signer, SigningRefused
from ledger.proofs.tree import TILE_HEIGHT, TILE_WIDTH, consistency_proof, inclusion_proof, tree_root, whole_root

ENTRIES_PER_STEP = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A signed checkpoint as the database keeps it."""

    size: int
    root: bytes
    note: str
    sealed_at_us: int


@dataclass(frozen=True, slots=True)
class SealingLag:
    """How many events no checkpoint covers, and how old the first of them is."""

    events: int
    seconds: float


def sealing_lag(connection: sa.Connection) -> SealingLag:
    """Return how far sealing is behind the log."""
    sealed, head = latest(connection), log.head(connection)
    size = 0 if sealed is None else sealed.size
    first = log.event_at(connection, size + 1) if size < head.position else None
    seconds = 0.0 if first is None else max(0.0, (now_us() - first.recorded_at_us) / 1_000_000)
    return SealingLag(max(0, head.position - size), seconds)


def seal(engine: sa.Engine, signer: Signer) -> Sealed | None:
    """Seal what the log has; None when nothing is new, or another sealer was faster.

    Raises SigningRefused, CorruptLog, sqlalchemy.exc.SQLAlchemyError.
    """
    if not extend(engine):
        return None
    with signer.turn() as turn:
        with engine.connect() as connection:
            # In this order, or what another one seals meanwhile would look like events that are gone.
            last, size = latest(connection), log.head(connection).position
        turn.ensure_not_shorter(size)
        if last is not None and last.size > size:
            raise SigningRefused(problem=f"the log has {size} events, and {last.size} are sealed: it was shortened")
        if size == (0 if last is None else last.size) or not extend(engine):
            return None
        with engine.connect() as connection:
            read = Stored(connection)
            root = tree_root(read, size)
            note = turn.sign(size, root, lambda old, new: consistency_proof(read, old, new))
        sealed = Sealed(size=size, root=root, note=note, sealed_at_us=now_us())
        values = dataclasses.asdict(sealed) | {"note": note.encode()}
        try:
            with engine.execution_options(write=True).begin() as connection:
                connection.execute(sa.insert(schema.checkpoints).values(values))
        except sa.exc.IntegrityError:
            return None
    return sealed


def latest(connection: sa.Connection, *, covering: int = 0) -> Sealed | None:
    """Return the newest checkpoint, None when there is none or it does not cover the position."""
    table = schema.checkpoints
    row = connection.execute(sa.select(table).order_by(table.c.size.desc()).limit(1)).first()
    return None if row is None or row.size < covering else sealed_from(row)


def sealed_from(row: sa.Row[tuple[int, bytes, bytes, int]]) -> Sealed:
    """Return a row of the table as a checkpoint."""
    # Bytes that are no text were not signed: who checks the note finds that.
    note = bytes(row.note).decode("utf-8", "replace")
    return Sealed(size=row.size, root=bytes(row.root), note=note, sealed_at_us=row.sealed_at_us)


def event_proof(connection: sa.Connection, position: int) -> EventProof | None:
    """Return the proof that the newest checkpoint covers the event; None when it does not yet."""
    sealed = latest(connection, covering=position)
    if sealed is None or position < 1:
        return None
    (leaf,) = _leaf_bytes(connection, position - 1, 1)
    hashes = inclusion_proof(Stored(connection), position - 1, sealed.size)
    return EventProof(index=position - 1, hashes=hashes, note=sealed.note, extra=leaf)


def entries(connection: sa.Connection, index: int, width: int) -> bytes | None:
    """Return the leaves' bytes of a tile of this width, each behind its length in two bytes; None as for `tile`."""
    if not _reaches(connection, 0, index, width):
        return None
    return b"".join(len(each).to_bytes(2, "big") + each for each in _leaf_bytes(connection, index * TILE_WIDTH, width))


def tile(connection: sa.Connection, level: int, index: int, width: int) -> bytes | None:
    """Return the hashes of a tile of this width; None when the newest checkpoint does not reach that far."""
    if not _reaches(connection, level, index, width):
        return None
    return b"".join(Stored(connection)(level, index * TILE_WIDTH, width))


class Stored:
    """Reads the tree's hashes from the database, as ledger.proofs.tree wants them."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def __call__(self, level: int, first: int, count: int) -> Sequence[bytes]:
        """Return so many hashes of a level from an index on. Raises CorruptLog when they are not all there."""
        events, hashes = schema.events.c, schema.tree_hashes.c
        if level == 0:
            query = sa.select(events.leaf_hash).where(events.position.between(first + 1, first + count))
            query = query.order_by(events.position)
        else:
            query = sa.select(hashes.hash).where(hashes.level == level, hashes.entry.between(first, first + count - 1))
            query = query.order_by(hashes.entry)
        found = [bytes(each) for each in self._connection.scalars(query)]
        if len(found) != count:
            raise CorruptLog()
        return found


def _reaches(connection: sa.Connection, level: int, index: int, width: int) -> bool:
    sealed = latest(connection)
    whole = 0 if sealed is None else sealed.size >> level * TILE_HEIGHT
    return 1 <= width <= TILE_WIDTH and index * TILE_WIDTH + width <= whole


def _leaf_bytes(connection: sa.Connection, first: int, count: int) -> list[bytes]:
    events = schema.events.c
    query = sa.select(*(events[name] for name in LEAF_FIELDS)).order_by(events.position)
    rows = connection.execute(query.where(events.position.between(first + 1, first + count))).all()
    if len(rows) != count:
        raise CorruptLog()
    return [leaf_bytes(*row) for row in rows]


def extend(engine: sa.Engine, *, steps_max: int | None = None) -> bool:
    """Store the hashes of all entries that are whole by now; return whether none is left.

    A step reads up to some ten thousand hashes and commits. When another sealer was faster, that one goes on. Raises
    CorruptLog, sqlalchemy.exc.SQLAlchemyError.
    """
    table, level, steps = schema.tree_hashes, 1, 0
    with engine.connect() as connection:
        size = log.head(connection).position
    while whole := size >> level * TILE_HEIGHT:
        with engine.connect() as connection:
            newest = sa.select(sa.func.max(table.c.entry)).where(table.c.level == level)
            newest_entry = connection.execute(newest).scalar()
        for first in range(0 if newest_entry is None else newest_entry + 1, whole, ENTRIES_PER_STEP):
            if steps == steps_max:
                return False
            steps += 1
            count = min(whole - first, ENTRIES_PER_STEP)
            with engine.connect() as connection:
                below = Stored(connection)(level - 1, first * TILE_WIDTH, count * TILE_WIDTH)
            rows = [
                {
                    "level": level,
                    "entry": first + number,
                    "hash": whole_root(below[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]),
                }
                for number in range(count)
            ]
            try:
                with engine.execution_options(write=True).begin() as connection:
                    connection.execute(sa.insert(table), rows)
            except sa.exc.IntegrityError:
                return False
        level += 1
    return True
