"""Prove one event from a segment alone: what is before and after it in the tree stands with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ledger.archive.segments import Segment, rows_of
from ledger.audit.findings import CannotTell
from ledger.audit.leaves import plain_bytes
from ledger.proofs.notes import Checkpoint, EventProof, unopened
from ledger.proofs.tree import GrowingTree, inclusion_path, node_hash, split, whole_subtrees


def archived_proof(segments: Sequence[Segment], position: int) -> EventProof | None:
    """Return the proof that the checkpoint of its segment covers the event; None when no segment holds it.

    Whether that checkpoint is signed is for whoever checks the proof. Raises CannotTell for a segment that is damaged.
    """
    for segment in segments:
        if segment.first <= position <= segment.last:
            return _proof(segment, position)
    return None


def _proof(segment: Segment, position: int) -> EventProof:
    leaves: list[bytes] = []
    extra = b""
    for rows in rows_of(segment):
        if len(leaves) < position - segment.first + 1 <= len(leaves) + len(rows):
            extra = plain_bytes(rows[position - segment.first - len(leaves)])
        leaves += [bytes.fromhex(row[-1].decode()) for row in rows]
    size = Checkpoint.parse(unopened(segment.note)).size
    before, after = whole_subtrees(0, segment.first - 1), whole_subtrees(segment.last, size)
    if (len(before), len(after), len(leaves)) != (
        len(segment.before),
        len(segment.after),
        segment.last - segment.first + 1,
    ):
        raise CannotTell(problem=f"{segment.path} is damaged: get another copy of it")
    known = {
        (start, start + (1 << height)): root
        for (start, height), root in zip([*before, *after], [*segment.before, *segment.after], strict=True)
    }
    root = partial(_root, known, segment.first - 1, leaves)
    return EventProof(
        index=position - 1, hashes=inclusion_path(root, position - 1, size), note=segment.note, extra=extra
    )


def _root(known: dict[tuple[int, int], bytes], first: int, leaves: Sequence[bytes], start: int, end: int) -> bytes:
    """Return the root over the leaves from `start` to before `end`, of which `leaves` are those from `first` on."""
    if (start, end) in known:
        return known[start, end]
    if first <= start and end <= first + len(leaves):
        tree = GrowingTree()
        for leaf in leaves[start - first : end - first]:
            tree.add(leaf)
        return tree.root()
    middle = start + split(end - start)
    return node_hash(_root(known, first, leaves, start, middle), _root(known, first, leaves, middle, end))
