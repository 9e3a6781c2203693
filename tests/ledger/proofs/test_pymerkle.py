"""Roots and proofs are those of pymerkle, which knows nothing of us."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from ledger.leaf import leaf_hash
from ledger.proofs.tree import GrowingTree, inclusion_proof, is_consistent, tree_root

ENTRIES = [b"entry %d" % number for number in range(300)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


@pytest.fixture(scope="module")
def theirs() -> InmemoryTree:
    return InmemoryTree.init_from_entries(ENTRIES, algorithm="sha256")


def read(level: int, first: int, count: int) -> Sequence[bytes]:
    tree = GrowingTree()
    if level == 0:
        return LEAVES[first : first + count]
    assert (level, first, count) == (1, 0, 1)
    for leaf in LEAVES[:256]:
        tree.add(leaf)
    return [tree.root()]


def test_roots_of_every_size_are_theirs(theirs: InmemoryTree) -> None:
    tree = GrowingTree()
    for size, leaf in enumerate(LEAVES, start=1):
        tree.add(leaf)
        assert tree.root() == tree_root(read, size) == theirs.get_root(size), size


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100, 255, 256, 257, 300])
def test_inclusion_proofs_are_theirs(theirs: InmemoryTree, size: int) -> None:
    for index in {0, size // 3, size // 2, size - 1}:
        proof = theirs.prove_inclusion(index + 1, size)

        assert proof.path[0] == LEAVES[index]
        assert proof.path[1:] == inclusion_proof(read, index, size), index
        verify_inclusion(LEAVES[index], tree_root(read, size), proof)


def test_their_consistency_proofs_hold_between_our_roots(theirs: InmemoryTree) -> None:
    for old_size, size in ((1, 2), (3, 7), (100, 101), (128, 300), (255, 256), (256, 300)):
        proof = theirs.prove_consistency(old_size, size)

        verify_consistency(tree_root(read, old_size), tree_root(read, size), proof)


def test_a_root_that_is_not_theirs_is_noticed(theirs: InmemoryTree) -> None:
    assert theirs.get_root(100) != tree_root(read, 101)
    assert not is_consistent(3, theirs.get_root(4), 7, theirs.get_root(7), [])
