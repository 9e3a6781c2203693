"""Is the log the one that was signed for: every checkpoint's root made anew, and the tree's stored hashes.

Whether the leaves are those of the events' bytes is for the audit's scan to say, which hands in the roots of each 256 of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa

from ledger import schema
from ledger.audit.findings import CannotTell, Finding
from ledger.proofs.notes import BadNote, Checkpoint, NotSigned, VerifierKey, opened, unopened
from ledger.proofs.sealing import Sealed, sealed_from
from ledger.proofs.tree import TILE_HEIGHT, TILE_WIDTH, GrowingTree, whole_root

STORED = "the checkpoint"
PAGE_CHECKPOINTS = 2_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint from elsewhere, and whose it is, in words."""

    checkpoint: Checkpoint
    words: str


class SignedFor:
    """What the log was signed for: the checkpoints that the database keeps, and others.

    `kept`: from outside the database. Signatures are checked when there are keys to check them by.
    """

    def __init__(self, kept: Sequence[Kept], keys: Sequence[VerifierKey]) -> None:
        self._keys = keys
        self._wanted: list[Kept] = [each for each in kept if each.checkpoint.size > 0]
        self._wrong_note: Finding | None = None
        self._unsigned: Finding | None = None
        self._signed = 0
        self._sealed = 0
        self.checkpoints = 0

    @property
    def checked(self) -> list[str]:
        """What of it can be checked, in words."""
        checked = ["roots of checkpoints"] if self._wanted else []
        return [*checked, "signatures of checkpoints"] if self.checkpoints and self._keys else checked

    def ensure_signed(self) -> None:
        """Raise CannotTell when signatures were asked for, and there is nothing signed."""
        if self._keys and not self.checkpoints and not self._wanted:
            raise CannotTell(
                problem="there is no checkpoint to check by the key: name one that you kept (--checkpoint), or find out who "
                "removed them; a log that was never sealed has none either"
            )

    def read(self, connection: sa.Connection, tick: Callable[[], None]) -> None:
        """Read the checkpoints that the database keeps. `tick` is called now and then."""
        table, after = schema.checkpoints, -1
        while True:
            query = sa.select(table).where(table.c.size > after).order_by(table.c.size).limit(PAGE_CHECKPOINTS)
            page = [sealed_from(row) for row in connection.execute(query)]
            for sealed in page:
                self._take(sealed)
            tick()
            if len(page) < PAGE_CHECKPOINTS:
                break
            after = page[-1].size
        self._wanted.sort(key=lambda each: each.checkpoint.size)

    def too_long_for(self, head: int) -> Finding | None:
        """Return that more was signed for than there is."""
        beyond = [each for each in self._wanted if each.checkpoint.size > head]
        if not beyond:
            return None
        most = beyond[-1]
        words = f"{most.words} is of {most.checkpoint.size} events, and the log has {head}: it was shortened"
        return Finding(head + 1, words)

    def wrong(self, connection: sa.Connection, head: int, blocks: Sequence[bytes]) -> Finding | None:
        """Return the first position where the log, whose roots of each 256 events are `blocks`, is another one."""
        # Checkpoints are closer together than hashes, as a rule.
        changed = self._wrong_root(connection, head, blocks) or self._wrong_hash(connection, head, blocks)
        found = (self._wrong_note, self._unsigned, self.too_long_for(head), changed)
        return min((each for each in found if each is not None), key=lambda each: each.position, default=None)

    def _take(self, sealed: Sealed) -> None:
        self.checkpoints += 1
        words = f"{STORED} of {sealed.size} events"
        # Nothing vouches for what came after the last one that is signed.
        position = self._signed + 1
        self._sealed = max(1, sealed.size)
        try:
            checkpoint = Checkpoint.parse(self._opened(sealed, words, position))
        except BadNote as error:
            self._wrong_note = self._wrong_note or Finding(position, f"{words}: {error}")
            return
        if (checkpoint.size, checkpoint.root) != (sealed.size, sealed.root):
            says = f"{words} is stored with another size or root than it was signed for"
            self._wrong_note = self._wrong_note or Finding(position, says)
        self._wanted.append(Kept(checkpoint, STORED))

    def _opened(self, sealed: Sealed, words: str, position: int) -> str:
        """Return what was signed. One that is signed vouches for those before it, whoever signed them: keys change."""
        if not self._keys:
            return unopened(sealed.note)
        try:
            text = opened(sealed.note, self._keys)
        except NotSigned as error:
            says = f"{words}, and what came after it: {error}; if the key was changed, name the new one as well"
            self._unsigned = self._unsigned or Finding(position, says)
            return unopened(sealed.note)
        self._signed, self._unsigned = self._sealed, None
        return text

    def _wrong_root(self, connection: sa.Connection, head: int, blocks: Sequence[bytes]) -> Finding | None:
        tree, right_up_to = GrowingTree(), 0
        within = [each for each in self._wanted if each.checkpoint.size <= head]
        for block, group in groupby(within, key=lambda each: each.checkpoint.size // TILE_WIDTH):
            for root in blocks[tree.size // TILE_WIDTH : block]:
                tree.add(root, TILE_HEIGHT)
            some = list(group)
            growing = tree.copy()
            leaves = iter(_leaves(connection, tree.size, some[-1].checkpoint.size))
            for each in some:
                while growing.size < each.checkpoint.size:
                    growing.add(next(leaves))
                if growing.root() != each.checkpoint.root:
                    return _changed(right_up_to + 1, each.checkpoint.size, each.words)
                right_up_to = growing.size
        return None

    def _wrong_hash(self, connection: sa.Connection, head: int, blocks: Sequence[bytes]) -> Finding | None:
        table, level, hashes = schema.tree_hashes, 1, list(blocks)
        while hashes or level == 1:
            rows = connection.execute(
                sa.select(table.c.entry, table.c.hash).where(table.c.level == level).order_by(table.c.entry)
            ).all()
            events = 1 << level * TILE_HEIGHT
            for entry, row in enumerate(rows):
                if row.entry != entry or entry >= len(hashes) or bytes(row.hash) != hashes[entry]:
                    return Finding(
                        min(head, entry * events) + 1, f"the stored hash of {events} events from here on is another one"
                    )
            if len(rows) < self._sealed // events:
                return Finding(len(rows) * events + 1, f"the stored hash of {events} events from here on is missing")
            whole = len(hashes) // TILE_WIDTH * TILE_WIDTH
            hashes = [whole_root(hashes[start : start + TILE_WIDTH]) for start in range(0, whole, TILE_WIDTH)]
            level += 1
        return None


def _leaves(connection: sa.Connection, after: int, last: int) -> Iterable[bytes]:
    if last <= after:
        return []
    events = schema.events.c
    query = sa.select(events.leaf_hash).where(events.position.between(after + 1, last)).order_by(events.position)
    return [bytes(each) for each in connection.scalars(query)]


def _changed(first: int, last: int, whose: str) -> Finding:
    which = f"the event {first}" if first == last else f"an event from {first} to {last}"
    return Finding(first, f"{which} is not the one that {whose} of {last} events was signed for")
