"""Seal a log as maintenance would have while it grew: a signed checkpoint for each so many events, and the tree's hashes."""

from __future__ import annotations

import sqlalchemy as sa

from ledger import schema
from ledger.clock import now_us
from ledger.proofs.notes import Checkpoint, SigningKey, signed
from ledger.proofs.tree import TILE_WIDTH, GrowingTree, whole_root

PAGE = 20_000


def seal_every(url: str, key: SigningKey, events: int) -> None:
    """Seal the log at `url` after each so many events, and at its end."""
    engine = sa.create_engine(url)
    tree, checkpoints, blocks, rest = GrowingTree(), list[dict[str, object]](), list[bytes](), list[bytes]()
    with engine.connect() as connection:
        head = connection.execute(sa.select(schema.log_head.c.position)).scalar_one()
        for first in range(1, head + 1, PAGE):
            for leaf in _leaves(connection, first):
                tree.add(leaf)
                rest.append(leaf)
                if len(rest) == TILE_WIDTH:
                    blocks.append(whole_root(rest))
                    rest.clear()
                if tree.size % events == 0 or tree.size == head:
                    checkpoints.append(_checkpoint(key, tree))
    hashes, level = list[dict[str, object]](), 1
    while blocks:
        hashes += [{"level": level, "entry": entry, "hash": root} for entry, root in enumerate(blocks)]
        whole = len(blocks) // TILE_WIDTH * TILE_WIDTH
        blocks = [whole_root(blocks[start : start + TILE_WIDTH]) for start in range(0, whole, TILE_WIDTH)]
        level += 1
    with engine.begin() as connection:
        for table, rows in ((schema.tree_hashes, hashes), (schema.checkpoints, checkpoints)):
            for start in range(0, len(rows), PAGE):
                connection.execute(sa.insert(table), rows[start : start + PAGE])
    engine.dispose()


def _leaves(connection: sa.Connection, first: int) -> list[bytes]:
    events = schema.events.c
    query = sa.select(events.leaf_hash).where(events.position.between(first, first + PAGE - 1))
    return [bytes(each) for each in connection.scalars(query.order_by(events.position))]


def _checkpoint(key: SigningKey, tree: GrowingTree) -> dict[str, object]:
    root = tree.root()
    note = signed(Checkpoint(origin=key.name, size=tree.size, root=root).text(), [key])
    return {"size": tree.size, "root": root, "note": note.encode(), "sealed_at_us": now_us()}
