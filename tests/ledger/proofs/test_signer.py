"""The signer remembers what it signed, and signs nothing that contradicts it."""

from __future__ import annotations

import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ledger.errors import BadSetting
from ledger.leaf import leaf_hash
from ledger.proofs.notes import BadNote, Checkpoint, SigningKey, opened
from ledger.proofs.signer import Signer, SigningRefused, add_key, read_keys, remembered, write_key
from ledger.proofs.tree import consistency_proof, tree_root, whole_root

LEAVES = [leaf_hash(b"%d" % number) for number in range(20)]
OTHERS = [leaf_hash(b"other %d" % number) for number in range(20)]


class Tree:
    """A tree over leaves in memory."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = leaves

    def read(self, level: int, first: int, count: int) -> Sequence[bytes]:
        assert level == 0
        return self._leaves[first : first + count]

    def root(self, size: int) -> bytes:
        return tree_root(self.read, size)

    def prove(self, old: int, new: int) -> list[bytes]:
        return consistency_proof(self.read, old, new)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_key(tmp_path / "key", SigningKey.make("example.org/ledger"))
    return tmp_path / "key"


def sign(path: Path, tree: Tree, size: int) -> str:
    return Signer(path).sign(size, tree.root(size), tree.prove)


def test_a_checkpoint_opens_with_the_keys_verifier(path: Path) -> None:
    tree = Tree(LEAVES)

    note = sign(path, tree, 7)

    text = opened(note, [read_keys(path)[0].verifier])
    assert Checkpoint.parse(text) == Checkpoint(origin="example.org/ledger", size=7, root=tree.root(7))
    assert remembered(path) == Checkpoint(origin="example.org/ledger", size=7, root=tree.root(7))


def test_a_log_that_grew_or_stands_still_is_signed_again(path: Path) -> None:
    tree = Tree(LEAVES)

    for size in (1, 1, 2, 8, 13, 20):
        sign(path, tree, size)

    assert remembered(path) == Checkpoint(origin="example.org/ledger", size=20, root=tree.root(20))


@pytest.mark.parametrize(
    ("size", "tree", "words"),
    [
        (12, Tree(LEAVES), "shortened"),
        (0, Tree(LEAVES), "shortened"),
        (13, Tree(OTHERS), "changed"),
        (20, Tree(OTHERS), "changed"),
        (20, Tree([*LEAVES[:12], OTHERS[12], *LEAVES[13:]]), "changed"),
    ],
)
def test_what_contradicts_the_last_checkpoint_is_refused_and_changes_nothing(
    path: Path, size: int, tree: Tree, words: str
) -> None:
    sign(path, Tree(LEAVES), 13)
    before = remembered(path)

    with pytest.raises(SigningRefused, match=words):
        Signer(path).sign(size, tree.root(size), tree.prove)

    assert remembered(path) == before


def test_a_key_of_another_name_does_not_go_on_from_this_ones_memory(path: Path) -> None:
    sign(path, Tree(LEAVES), 13)
    path.unlink()
    write_key(path, SigningKey.make("example.org/other"))

    with pytest.raises(SigningRefused, match=r"example\.org/ledger"):
        sign(path, Tree(LEAVES), 14)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"origin":"example.org/ledger","size":"x","root":""}'])
def test_a_damaged_memory_signs_nothing(path: Path, content: bytes) -> None:
    sign(path, Tree(LEAVES), 13)
    path.with_name("key.state").write_bytes(content)

    with pytest.raises(SigningRefused, match="put back a copy"):
        sign(path, Tree(LEAVES), 14)


def test_signers_at_the_same_time_never_remember_less_than_was_signed(path: Path) -> None:
    tree, notes = Tree(LEAVES), list[int]()

    def run(sizes: Sequence[int]) -> None:
        for size in sizes:
            try:
                sign(path, tree, size)
                notes.append(size)
            except SigningRefused:
                continue

    threads = [threading.Thread(target=run, args=(range(start, 21),)) for start in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    last = remembered(path)
    assert last is not None and last.size == max(notes) == 20


def test_the_key_and_its_memory_are_for_their_owner_only(path: Path) -> None:
    sign(path, Tree(LEAVES), 13)

    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each


def test_an_old_key_is_never_overwritten(path: Path) -> None:
    before = path.read_text()

    with pytest.raises(FileExistsError):
        write_key(path, SigningKey.make("example.org/ledger"))

    assert path.read_text() == before
    assert [each.name for each in path.parent.iterdir()] == ["key"]


def test_after_a_rotation_both_keys_open_what_is_signed_and_then_only_the_new_one(path: Path) -> None:
    tree = Tree(LEAVES)
    old = read_keys(path)[0]
    sign(path, tree, 3)

    new = add_key(path)
    both = sign(path, tree, 5)
    path.write_text(f"{new}\n")
    alone = sign(path, tree, 9)

    assert opened(both, [old.verifier]) == opened(both, [new.verifier])
    assert opened(alone, [new.verifier])
    with pytest.raises(BadNote):
        opened(alone, [old.verifier])


@pytest.mark.parametrize("content", [b"", b"no key\n", b"\xff\xfe"])
def test_a_file_that_is_no_key_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(BadSetting, match="SIGNING_KEY_FILE"):
        Signer(tmp_path / "key")


def test_keys_of_two_names_are_no_key_file(path: Path) -> None:
    path.write_text(path.read_text() + f"{SigningKey.make('example.org/other')}\n")

    with pytest.raises(BadSetting, match="all of one name"):
        Signer(path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="nowhere"):
        Signer(tmp_path / "nowhere")


def test_whole_roots_of_powers_of_two_are_those_of_the_tree() -> None:
    assert whole_root(LEAVES[:16]) == Tree(LEAVES).root(16)
