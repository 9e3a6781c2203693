"""Is the log the one that was signed for: every checkpoint's root again from the leaves, and the tree's stored hashes.

Whether the leaves are those of the events' bytes is for the audit to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from ledger import schema
from ledger.audit.findings import Finding
from ledger.proofs.notes import BadNote, Checkpoint, VerifierKey, opened
from ledger.proofs.sealing import sealed_from
from ledger.proofs.tree import TILE_WIDTH, GrowingTree, whole_root

PAGE_LEAVES = 40 * TILE_WIDTH


def wrong_checkpoint(
    connection: sa.Connection,
    head: int,
    *,
    kept: str | None = None,
    keys: Sequence[VerifierKey] = (),
    tick: Callable[[], None] = lambda: None,
) -> Finding | None:
    """Return the first thing that contradicts a checkpoint: one that the database keeps, or one that an auditor kept.

    Signatures are checked when there are keys to check them by. Raises BadNote for an auditor's own file that is none.
    """
    wanted: dict[int, list[tuple[Checkpoint, str]]] = {}
    if kept is not None:
        held = Checkpoint.parse(opened(kept, keys) if keys else kept.rpartition("\n\n")[0] + "\n")
        wanted.setdefault(held.size, []).append((held, "the checkpoint that you kept"))
    found: list[Finding] = []
    table = schema.checkpoints
    for row in connection.execute(sa.select(table).order_by(table.c.size)):
        sealed = sealed_from(row)
        try:
            checkpoint = Checkpoint.parse(
                opened(sealed.note, keys) if keys else sealed.note.rpartition("\n\n")[0] + "\n"
            )
        except BadNote as error:
            found.append(Finding(max(1, sealed.size), f"the checkpoint of {sealed.size} events: {error}"))
            continue
        if (checkpoint.size, checkpoint.root) != (sealed.size, sealed.root):
            found.append(
                Finding(
                    max(1, sealed.size), f"the checkpoint of {sealed.size} events says something else than was signed"
                )
            )
        wanted.setdefault(checkpoint.size, []).append((checkpoint, "the checkpoint"))
    beyond = [size for size in wanted if size > head]
    if beyond:
        found.append(
            Finding(head + 1, f"{max(beyond)} events were signed for, and the log has {head}: it was shortened")
        )
    found += _contradictions(connection, head, wanted, tick)
    return min(found, key=lambda each: each.position, default=None)


def _contradictions(
    connection: sa.Connection, head: int, wanted: dict[int, list[tuple[Checkpoint, str]]], tick: Callable[[], None]
) -> Iterator[Finding]:
    longest = max((size for size in wanted if size <= head), default=0)
    tree, at = GrowingTree(), 1
    while at <= longest:
        leaves = _leaves(connection, at, min(longest, at + PAGE_LEAVES - 1))
        stored = _stored(connection, at // TILE_WIDTH, len(leaves) // TILE_WIDTH)
        for start in range(0, len(leaves), TILE_WIDTH):
            some = leaves[start : start + TILE_WIDTH]
            entry = (at + start) // TILE_WIDTH
            if len(some) == TILE_WIDTH and stored.get(entry) not in (None, whole_root(some)):
                yield Finding(
                    at + start, f"the events from here to {at + start + TILE_WIDTH - 1} are not those that were sealed"
                )
                return
            for leaf in some:
                tree.add(leaf)
                for checkpoint, whose in wanted.get(tree.size, ()):
                    if checkpoint.root != tree.root():
                        yield Finding(
                            tree.size, f"{whose} of {tree.size} events has another root: one of them was changed"
                        )
                        return
        if len(leaves) < min(longest, at + PAGE_LEAVES - 1) - at + 1:
            return  # A gap, which the audit names itself.
        at += len(leaves)
        tick()


def _leaves(connection: sa.Connection, first: int, last: int) -> list[bytes]:
    events = schema.events.c
    query = sa.select(events.leaf_hash).where(events.position.between(first, last)).order_by(events.position)
    return [bytes(each) for each in connection.scalars(query)]


def _stored(connection: sa.Connection, first: int, count: int) -> dict[int, bytes]:
    hashes = schema.tree_hashes.c
    query = sa.select(hashes.entry, hashes.hash).where(hashes.level == 1, hashes.entry.between(first, first + count))
    return {row.entry: bytes(row.hash) for row in connection.execute(query)}
