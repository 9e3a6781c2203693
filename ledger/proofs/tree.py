"""The Merkle tree over the log's leaves: roots, inclusion and consistency proofs, and how anybody checks them.

Hashes are read by level: level 0 are the leaves, an entry of a level above is the root of `TILE_WIDTH` whole entries of
the level below. So a root or a proof of a tree of any size takes a few short runs of entries.

Source: RFC 6962 section 2.1 (trees and proofs), RFC 9162 section 2.1 (checking them), C2SP tlog-tiles (levels).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
EMPTY_ROOT = sha256(b"").digest()

Read = Callable[[int, int, int], Sequence[bytes]]
"""Returns so many hashes of a level from an index on (level, first, count); all of them belong to whole entries."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """Return how many leaves are in the left subtree of a tree of this size, above 1: the largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1


def whole_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a whole subtree over these hashes, a power of two of them."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def tree_root(read: Read, size: int) -> bytes:
    """Return the root of the tree over the first `size` leaves."""
    return _root(read, 0, size) if size else EMPTY_ROOT


def whole_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Return first leaf and height of each of the fewest whole subtrees that the leaves from `start` (from 0) to before
    `end` make up, from left to right.
    """
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        found.append((start, height))
        start += 1 << height
    return found


def whole_roots(read: Read, start: int, end: int) -> list[tuple[int, bytes]]:
    """Return height and root of each of these subtrees; what `GrowingTree.add` takes."""
    subtrees = whole_subtrees(start, end)
    return [(height, _root(read, first, first + (1 << height))) for first, height in subtrees]


def inclusion_proof(read: Read, index: int, size: int) -> list[bytes]:
    """Return the proof, from the leaf up, that the leaf at an index (from 0) is in the tree of `size` leaves."""
    return inclusion_path(partial(_root, read), index, size)


def inclusion_path(root: Callable[[int, int], bytes], index: int, size: int) -> list[bytes]:
    """Return that proof; `root` gives the root over the leaves from one (from 0) to before another."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    start, end, found = 0, size, []
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            found.append(root(middle, end))
            end = middle
        else:
            found.append(root(start, middle))
            start = middle
    return found[::-1]


def consistency_proof(read: Read, old_size: int, size: int) -> list[bytes]:
    """Return the proof that the tree of `size` leaves begins with that of `old_size`."""
    if not 0 < old_size <= size:
        raise ValueError("there is no earlier tree to be consistent with")
    start, end, is_root_known, found = 0, size, True, []
    while old_size < end:
        middle = start + split(end - start)
        if old_size <= middle:
            found.append(_root(read, middle, end))
            end = middle
        else:
            found.append(_root(read, start, middle))
            start, is_root_known = middle, False
    if not is_root_known:
        found.append(_root(read, start, end))
    return found[::-1]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether a proof shows that the leaf hash at an index is in the tree of that size and root."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(each, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, each)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether a proof shows that the tree of that size and root begins with the earlier one."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, each)
        place, last = place >> 1, last >> 1
    return last == 0 and old == old_root and new == root


class GrowingTree:
    """A tree that leaves are added to, one after the other, in a few hundred bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[tuple[int, bytes]] = []

    def copy(self) -> GrowingTree:
        """Return a tree that grows on its own from here."""
        other = GrowingTree()
        other.size, other._roots = self.size, self._roots.copy()
        return other

    def add(self, root: bytes, height: int = 0) -> None:
        """Add the next leaf's hash, or the root of the next whole subtree of a height; the size must be a multiple of
        its leaves.
        """
        added = 1 << height
        while self._roots and self._roots[-1][0] == height:
            root = node_hash(self._roots.pop()[1], root)
            height += 1
        self._roots.append((height, root))
        self.size += added

    @property
    def roots(self) -> list[bytes]:
        """The roots of the whole subtrees that the leaves make up, the largest first."""
        return [root for _, root in self._roots]

    def root(self) -> bytes:
        """Return the root as it is now."""
        if not self._roots:
            return EMPTY_ROOT
        *others, (_, found) = self._roots
        for _, each in reversed(others):
            found = node_hash(each, found)
        return found


class BlockRoots:
    """The roots of each `TILE_WIDTH` leaves of a range, which come in pieces of any length.

    A range may begin and end within such a block: those leaves are kept, until ranges are joined.
    """

    def __init__(self, first: int = 0) -> None:
        self.roots: list[bytes] = []
        self._lacking = -first % TILE_WIDTH
        self._lead: list[bytes] = []
        self._rest: list[bytes] = []

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Take the next leaves' hashes."""
        if len(self._lead) < self._lacking:
            lacking = self._lacking - len(self._lead)
            self._lead += leaves[:lacking]
            leaves = leaves[lacking:]
        rest = self._rest
        rest += leaves
        whole = len(rest) - len(rest) % TILE_WIDTH
        self.roots += [whole_root(rest[start : start + TILE_WIDTH]) for start in range(0, whole, TILE_WIDTH)]
        del rest[:whole]

    def join(self, following: BlockRoots) -> None:
        """Take the range that begins where this one ends."""
        self.extend(following._lead)
        self.roots += following.roots
        self.extend(following._rest)


def _root(read: Read, start: int, end: int) -> bytes:
    """Return the root over a range that begins where a whole subtree of its size would."""
    size = end - start
    if size & (size - 1) == 0:
        level, rest = divmod(size.bit_length() - 1, TILE_HEIGHT)
        return whole_root(read(level, start >> level * TILE_HEIGHT, 1 << rest))
    middle = start + split(size)
    return node_hash(_root(read, start, middle), _root(read, middle, end))
