"""Roots and proofs are those of RFC 6962: its vectors, its definition, and nothing else passes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.proofs.tree import (
    EMPTY_ROOT,
    TILE_WIDTH,
    GrowingTree,
    Read,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    node_hash,
    tree_root,
    whole_root,
    whole_roots,
)

# The leaves and roots that implementations of RFC 6962 have agreed on since certificate-transparency's first tests.
INPUTS = [
    bytes.fromhex(each)
    for each in "- 00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f".replace("-", "").split(
        " "
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def leaves(count: int) -> list[bytes]:
    return [leaf(b"%d" % number) for number in range(count)]


def reader(hashes: Sequence[bytes]) -> Read:
    """Reads levels that are made of whole entries only, as they are stored."""
    levels = [list(hashes)]
    while len(levels[-1]) >= TILE_WIDTH:
        row = levels[-1]
        levels.append([whole_root(row[at : at + TILE_WIDTH]) for at in range(0, len(row) - TILE_WIDTH + 1, TILE_WIDTH)])

    def read(level: int, first: int, count: int) -> Sequence[bytes]:
        found = levels[level][first : first + count]
        assert len(found) == count, "asked for what is not stored"
        return found

    return read


def defined_root(hashes: Sequence[bytes]) -> bytes:
    """MTH as the RFC defines it."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(defined_root(hashes[:split]), defined_root(hashes[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    hashes = [leaf(each) for each in INPUTS]
    grown = GrowingTree()
    for each in hashes[:size]:
        grown.add(each)

    assert tree_root(reader(hashes), size).hex() == ROOTS[size - 1]
    assert grown.root().hex() == ROOTS[size - 1]


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert tree_root(reader([]), 0) == GrowingTree().root() == EMPTY_ROOT == sha256(b"").digest()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 66_000])
def test_roots_of_long_logs_come_from_whole_entries(size: int) -> None:
    hashes = leaves(size)
    grown = GrowingTree()
    for each in hashes:
        grown.add(each)

    assert tree_root(reader(hashes), size) == grown.root() == defined_root(hashes)


@given(st.integers(0, 1_200), st.integers(0, 1_200))
def test_a_tree_grows_by_whole_subtrees_from_anywhere_to_anywhere(start: int, more: int) -> None:
    hashes, end = leaves(start + more), start + more
    grown = GrowingTree()

    for bounds in ((0, start), (start, end)):
        for height, root in whole_roots(reader(hashes), *bounds):
            grown.add(root, height)

    # As many subtrees as the size has binary ones: no fewer would do.
    assert len(whole_roots(reader(hashes), 0, end)) == end.bit_count() == len(grown.roots)
    assert grown.size == end and grown.root() == tree_root(reader(hashes), end)


@given(st.integers(1, 700), st.data())
def test_every_leaf_is_proved_and_nothing_else_is(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    root = defined_root(hashes)

    proof = inclusion_proof(reader(hashes), index, size)

    assert is_included(hashes[index], index, size, proof, root)
    assert not is_included(leaf(b"another"), index, size, proof, root)
    assert not is_included(hashes[index], index, size, proof, leaf(b"another"))
    for wrong in {index ^ 1, size - 1 - index, size, -1} - {index}:
        assert not is_included(hashes[index], wrong, size, proof, root) or hashes[index] == hashes[wrong]
    assert not is_included(hashes[index], index, size, [*proof, root], root)
    for at in range(len(proof)):
        assert not is_included(hashes[index], index, size, [*proof[:at], leaf(b"x"), *proof[at + 1 :]], root)
        assert not is_included(hashes[index], index, size, proof[:at] + proof[at + 1 :], root)


@given(st.integers(1, 700), st.data())
def test_a_longer_log_is_proved_to_begin_with_the_shorter_and_no_other_is(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    old_size = data.draw(st.integers(1, size))
    old_root, root = defined_root(hashes[:old_size]), defined_root(hashes)

    proof = consistency_proof(reader(hashes), old_size, size)

    assert is_consistent(old_size, old_root, size, root, proof)
    rewritten = [leaf(b"rewritten"), *hashes[1:]]
    assert not is_consistent(
        old_size, old_root, size, defined_root(rewritten), consistency_proof(reader(rewritten), old_size, size)
    )
    assert not is_consistent(old_size, leaf(b"x"), size, root, proof)
    assert not is_consistent(old_size, old_root, size, root, [*proof, root])
    for at in range(len(proof)):
        assert not is_consistent(old_size, old_root, size, root, [*proof[:at], leaf(b"x"), *proof[at + 1 :]])


def test_a_tree_is_no_longer_than_itself() -> None:
    read = reader(leaves(5))
    with pytest.raises(ValueError, match="not in the tree"):
        inclusion_proof(read, 5, 5)
    for old_size in (6, 0):
        with pytest.raises(ValueError, match="no earlier tree"):
            consistency_proof(read, old_size, 5)
    assert not is_consistent(6, EMPTY_ROOT, 5, EMPTY_ROOT, [])
