"""What root may do so that the log looks right by itself, the checkpoints tell: those stored, those kept, the signer's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import schema
from ledger.ids import new_id
from ledger.proofs.checking import Kept
from ledger.proofs.notes import Checkpoint, SigningKey, VerifierKey, signed
from ledger.proofs.sealing import Sealed, seal
from ledger.proofs.signer import Signer, add_key, read_keys, remembered, write_key
from ledger.proofs.tree import GrowingTree
from root import Root
from submissions import Desk

FREE = {
    "event_id": b"0123456789abcdef",
    "actor": "key:forged",
    "idempotency_key": b"forged",
    "correlation_id": "forged",
    "causation_id": "forged",
    "details_hash": b"f" * 32,
}
"""What nothing else says: changed together with the leaf hash, only a checkpoint tells."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """A log that was sealed twice: in its middle and at its end; and who signed."""

    root: Root
    key_file: Path
    middle: Sealed
    end: Sealed

    @property
    def keys(self) -> list[VerifierKey]:
        return [key.verifier for key in read_keys(self.key_file)]

    def kept(self, sealed: Sealed) -> Kept:
        checkpoint = Checkpoint(origin="example.org/ledger", size=sealed.size, root=sealed.root)
        return Kept(checkpoint, "the checkpoint that you kept")

    def verify(self, *kept: Sealed, processes: int = 1) -> Any:
        return self.root.verify(processes, keys=self.keys, kept=[self.kept(each) for each in kept])

    def forget(self) -> None:
        """Remove everything that sealing left in the database."""
        self.root.run("DELETE FROM checkpoints")
        self.root.run("DELETE FROM tree_hashes")

    def seal_as(self, key_file: Path) -> Sealed | None:
        return seal(self.root.engine, Signer(key_file))


@pytest.fixture
def sealing(root: Root, desk: Desk, tmp_path: Path) -> Sealing:
    key_file = tmp_path / "key"
    write_key(key_file, SigningKey.make("example.org/ledger"))
    middle = seal(root.engine, Signer(key_file))
    account_id = desk.open(recharged_minor=10_000)
    for number in range(8):
        assert desk.deduct(account_id, number + 1).error is None
    end = seal(root.engine, Signer(key_file))
    assert middle is not None and end is not None
    return Sealing(root, key_file, middle, end)


def test_a_sealed_log_is_clean_and_says_that_signatures_were_checked(sealing: Sealing) -> None:
    for processes in (1, 3):
        for kept in ((), (sealing.middle,), (sealing.middle, sealing.end)):
            report = sealing.verify(*kept, processes=processes)

            assert (report.status, report.finding) == ("clean", None)
            assert {"roots of checkpoints", "signatures of checkpoints"} <= set(report.checked)


def test_a_log_that_went_on_after_its_last_seal_is_clean(sealing: Sealing, desk: Desk) -> None:
    desk.open(recharged_minor=700)

    assert sealing.verify(sealing.end).status == "clean"


def test_without_a_key_signatures_are_not_claimed_to_be_checked(sealing: Sealing) -> None:
    report = sealing.root.verify()

    assert report.status == "clean"
    assert "roots of checkpoints" in report.checked and "signatures of checkpoints" not in report.checked


def test_a_log_that_was_never_sealed_is_not_called_signed(root: Root, tmp_path: Path) -> None:
    write_key(tmp_path / "key", SigningKey.make("example.org/ledger"))
    key = read_keys(tmp_path / "key")[0].verifier

    assert root.verify().status == "clean"
    report = root.verify(keys=[key])
    assert report.status == "cannot tell" and report.finding is not None and "no checkpoint" in report.finding


@pytest.mark.parametrize("column", FREE)
@pytest.mark.parametrize("place", ["before the middle", "after the middle"])
def test_a_free_column_changed_with_its_hash_is_found_between_two_checkpoints(
    sealing: Sealing, column: str, place: str
) -> None:
    position = 5 if place == "before the middle" else sealing.end.size - 2

    sealing.root.change(position, sealed=True, **{column: FREE[column]})

    for processes in (1, 3):
        report = sealing.verify(processes=processes)
        first = 1 if place == "before the middle" else sealing.middle.size + 1
        assert (report.status, report.first_bad_position) == ("tampered", first), report.finding
        assert "is not the one that" in report.finding


def test_a_history_rewritten_as_a_whole_is_found(sealing: Sealing) -> None:
    sealing.root.rewrite(lambda row: row.update(actor="key:forged", event_id=new_id("x")[-16:].encode()))

    assert sealing.verify().first_bad_position == 1


def test_a_history_rewritten_from_a_position_on_is_found_after_the_last_checkpoint_that_holds(sealing: Sealing) -> None:
    sealing.root.rewrite(lambda row: row.update(actor="key:forged"), after=sealing.middle.size + 3)

    report = sealing.verify()

    assert (report.status, report.first_bad_position) == ("tampered", sealing.middle.size + 1)


def test_a_shortened_log_is_found_at_its_end(sealing: Sealing, desk: Desk) -> None:
    sealing.root.run(f"DELETE FROM events WHERE position={sealing.end.size}")
    sealing.root.run(f"DELETE FROM outcomes WHERE position={sealing.end.size}")
    sealing.root.run(f"UPDATE log_head SET position={sealing.end.size - 1}")
    # The account as it was before, so that the log is right by itself.
    sealing.root.run(
        f"UPDATE accounts SET version=version-1, available_minor=available_minor+8, position={sealing.end.size - 1} "
        f"WHERE position={sealing.end.size}"
    )
    alone = sealing.root
    checkpoints = alone.query("SELECT COUNT(*) FROM checkpoints")[0][0]

    report = sealing.verify()

    assert checkpoints == 2
    assert (report.status, report.first_bad_position) == ("tampered", sealing.end.size), report.finding
    assert "shortened" in report.finding
    # Without its checkpoints the log looks whole; one that was kept still tells.
    sealing.forget()
    assert alone.verify().status == "clean"
    assert sealing.verify(sealing.end).first_bad_position == sealing.end.size


def test_a_log_that_was_emptied_is_tampered_with_and_not_just_empty(sealing: Sealing) -> None:
    for table in ("events", "outcomes", "accounts", "orders", "reversals", "details"):
        sealing.root.run(f"DELETE FROM {table}")
    sealing.root.run("UPDATE log_head SET position=0")

    report = sealing.verify()
    assert (report.status, report.first_bad_position) == ("tampered", 1)

    sealing.forget()
    assert sealing.root.verify().status == "cannot tell"
    assert sealing.verify(sealing.middle).status == "tampered"


def test_an_older_dump_put_back_is_found_by_a_checkpoint_kept_since(sealing: Sealing, desk: Desk) -> None:
    dump = {table.name: _rows(sealing.root, table) for table in schema.metadata.sorted_tables}
    account_id = desk.open(recharged_minor=5_000)
    later = sealing.seal_as(sealing.key_file)
    assert later is not None
    assert desk.deduct(account_id, 1).error is None

    for table in reversed(schema.metadata.sorted_tables):
        sealing.root.run(sa.delete(table))
    for table in schema.metadata.sorted_tables:
        if dump[table.name]:
            sealing.root.run(sa.insert(table).values(dump[table.name]))

    assert sealing.verify().status == "clean", "an older state of the log is right by itself"
    assert sealing.verify(later).first_bad_position == sealing.end.size + 1
    memory = remembered(sealing.key_file)
    assert memory is not None
    report = sealing.root.verify(kept=[Kept(memory, "what was signed last")])
    assert report.first_bad_position == sealing.end.size + 1


@pytest.mark.parametrize("column", ["root", "size", "note"])
def test_a_changed_checkpoint_is_found(sealing: Sealing, column: str) -> None:
    note = _rows(sealing.root, schema.checkpoints)[0]["note"]
    forged: dict[str, Any] = {
        "root": b"f" * 32,
        "size": sealing.middle.size - 1,
        "note": bytes(note).replace(b"\n%d\n" % sealing.middle.size, b"\n%d\n" % (sealing.middle.size - 1)),
    }
    checkpoints = schema.checkpoints

    sealing.root.run(
        sa.update(checkpoints).where(checkpoints.c.size == sealing.middle.size).values({column: forged[column]})
    )

    assert sealing.verify().status == "tampered"
    assert sealing.root.verify().status == "tampered"


def test_a_checkpoint_that_is_no_text_any_more_is_found(sealing: Sealing) -> None:
    sealing.root.run("UPDATE checkpoints SET note=X'FF'")

    assert sealing.verify().status == "tampered"
    assert sealing.root.verify().status == "tampered"


def test_checkpoints_signed_by_another_key_are_found(sealing: Sealing, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    write_key(theirs, SigningKey.make("example.org/ledger"))
    sealing.root.rewrite(lambda row: row.update(actor="key:forged"))
    sealing.forget()

    assert sealing.seal_as(theirs) is not None
    report = sealing.verify()

    assert (report.status, report.first_bad_position) == ("tampered", 1), report.finding
    assert "none of the keys" in report.finding
    assert sealing.root.verify().status == "clean", "without the key nobody can tell whose signature it is"
    assert sealing.root.verify(kept=[sealing.kept(sealing.middle)]).status == "tampered"


def test_a_signer_whose_memory_was_rolled_back_signs_no_second_history_that_passes(
    sealing: Sealing, tmp_path: Path
) -> None:
    rolled_back = tmp_path / "rolled-back"
    shutil.copyfile(sealing.key_file, rolled_back)
    sealing.root.rewrite(lambda row: row.update(actor="key:forged"))
    sealing.forget()

    # Whoever has the key and the database can sign anything: what was kept outside still tells.
    assert sealing.seal_as(rolled_back) is not None
    assert sealing.verify().status == "clean"
    assert (report := sealing.verify(sealing.middle)).status == "tampered", report.finding
    memory = remembered(sealing.key_file)
    assert memory is not None
    assert sealing.root.verify(kept=[Kept(memory, "what was signed last")]).first_bad_position == 1


def test_stored_hashes_of_the_tree_are_checked_against_the_events(sealing: Sealing, desk: Desk) -> None:
    _grow(desk, 600)
    assert sealing.seal_as(sealing.key_file) is not None
    assert sealing.verify(processes=3).status == "clean"
    hashes = schema.tree_hashes

    sealing.root.run(sa.update(hashes).where(hashes.c.level == 1, hashes.c.entry == 1).values(hash=b"f" * 32))
    changed = sealing.verify(processes=3)
    sealing.root.run("DELETE FROM tree_hashes WHERE level=1 AND entry=1")
    missing = sealing.verify()

    assert (changed.status, changed.first_bad_position) == ("tampered", 257)
    assert (missing.status, missing.first_bad_position) == ("tampered", 257)


def test_a_log_of_several_tiles_is_checked_at_each_checkpoint_in_any_number_of_processes(
    sealing: Sealing, desk: Desk
) -> None:
    for _ in range(9):
        _grow(desk, 100)
        assert sealing.seal_as(sealing.key_file) is not None

    for processes in (1, 2, 3, 7):
        assert sealing.verify(sealing.middle, sealing.end, processes=processes).finding is None
    position = sealing.end.size + 450
    sealing.root.change(position, sealed=True, actor="key:forged")

    for processes in (1, 2, 3, 7):
        report = sealing.verify(processes=processes)
        assert report.first_bad_position is not None
        assert report.first_bad_position <= position < report.first_bad_position + 100


def test_a_kept_checkpoint_of_another_log_is_found(sealing: Sealing) -> None:
    tree = GrowingTree()
    tree.add(b"x" * 32)
    other = Checkpoint(origin="example.org/ledger", size=1, root=tree.root())

    report = sealing.root.verify(kept=[Kept(other, "the checkpoint that you kept")])

    assert (report.status, report.first_bad_position) == ("tampered", 1)


def test_a_forged_row_beyond_the_log_is_found(sealing: Sealing) -> None:
    key = SigningKey.make("example.org/ledger")
    size = sealing.end.size + 10
    note = signed(Checkpoint(origin=key.name, size=size, root=bytes(32)).text(), [key])

    sealing.root.run(
        sa.insert(schema.checkpoints).values(size=size, root=bytes(32), note=note.encode(), sealed_at_us=1)
    )

    assert sealing.verify().status == sealing.root.verify().status == "tampered"


def _grow(desk: Desk, events: int) -> None:
    account_id = desk.open(recharged_minor=events)
    for _ in range(events - 2):
        assert desk.deduct(account_id, 1).error is None


def _rows(root: Root, table: sa.Table) -> list[dict[str, Any]]:
    with root.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def test_after_a_change_of_keys_the_newest_checkpoint_vouches_for_those_before(sealing: Sealing, desk: Desk) -> None:
    (old,) = sealing.keys
    new = add_key(sealing.key_file)
    desk.open(recharged_minor=7)
    both = sealing.seal_as(sealing.key_file)
    sealing.key_file.write_text(f"{new}\n")
    assert both is not None
    # The newest is signed by both, those before by the old key alone.
    assert sealing.root.verify(keys=[new.verifier]).status == "clean"
    assert sealing.root.verify(keys=[old]).status == "clean"

    desk.open(recharged_minor=7)
    alone = sealing.seal_as(sealing.key_file)
    assert alone is not None
    assert sealing.root.verify(keys=[new.verifier]).status == "clean"
    assert sealing.root.verify(keys=[old, new.verifier]).status == "clean"
    report = sealing.root.verify(keys=[old])
    assert (report.status, report.first_bad_position) == ("tampered", both.size + 1)
    assert "if the key was changed" in str(report.finding)
    sealing.root.change(3, sealed=True, actor="key:forged")
    assert sealing.root.verify(keys=[new.verifier]).first_bad_position == 1
