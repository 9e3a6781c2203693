"""Sealing: the database keeps hashes of whole entries and signed checkpoints, from which everything is proven."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ledger import schema
from ledger.append import Ledger
from ledger.commands import Deduct
from ledger.database import open_engine
from ledger.proofs import sealing
from ledger.proofs.notes import Checkpoint, EventProof, SigningKey, VerifierKey, opened
from ledger.proofs.sealing import Sealed, event_proof, extend, latest, seal, tile
from ledger.proofs.signer import Signer, SigningRefused, read_keys, write_key
from ledger.proofs.tree import TILE_WIDTH, GrowingTree, is_included, whole_root
from ledger.settings import LedgerSettings
from submissions import Desk, submission


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    write_key(tmp_path / "key", SigningKey.make("example.org/ledger"))
    return tmp_path / "key"


@pytest.fixture
def signer(key_file: Path) -> Signer:
    return Signer(key_file)


@pytest.fixture
def verifier(key_file: Path) -> VerifierKey:
    return read_keys(key_file)[0].verifier


def spend(desk: Desk, account_id: str, times: int) -> None:
    """Deduct one minor unit so many times, in few commits."""
    command = Deduct(account_id=account_id, amount_minor=1, currency="CNY")
    for start in range(0, times, 500):
        outcomes = desk.ledger.append_batch([submission(command) for _ in range(min(500, times - start))], atomic=False)
        assert all(outcome.error is None for outcome in outcomes)


def leaves(desk: Desk) -> list[bytes]:
    with desk.engine.connect() as connection:
        query = sa.select(schema.events.c.leaf_hash).order_by(schema.events.c.position)
        return [bytes(each) for each in connection.scalars(query)]


def root_of(hashes: list[bytes]) -> bytes:
    tree = GrowingTree()
    for each in hashes:
        tree.add(each)
    return tree.root()


def newest(desk: Desk) -> Sealed:
    with desk.engine.connect() as connection:
        found = latest(connection)
    assert found is not None
    return found


def test_an_empty_log_has_nothing_to_seal(desk: Desk, signer: Signer) -> None:
    assert seal(desk.engine, signer) is None


def test_a_seal_covers_the_whole_log_and_is_made_once(desk: Desk, signer: Signer, verifier: VerifierKey) -> None:
    account_id = desk.open(recharged_minor=1_000)

    first = seal(desk.engine, signer)
    again = seal(desk.engine, signer)
    spend(desk, account_id, 3)
    second = seal(desk.engine, signer)

    assert first is not None and again is None and second is not None
    assert (first.size, second.size) == (2, 5)
    assert newest(desk) == second
    assert Checkpoint.parse(opened(second.note, [verifier])).root == second.root == root_of(leaves(desk))


def test_every_event_of_a_log_of_many_tiles_is_proven(desk: Desk, signer: Signer, verifier: VerifierKey) -> None:
    account_id = desk.open(recharged_minor=10_000)
    spend(desk, account_id, 700)
    seal(desk.engine, signer)
    spend(desk, account_id, 100)
    seal(desk.engine, signer)
    hashes = leaves(desk)

    for position in (1, 2, 256, 257, 512, 513, 700, 768, 769, len(hashes)):
        with desk.engine.connect() as connection:
            found = event_proof(connection, position)
        assert found is not None
        proof = EventProof.parse(found.text())
        checkpoint = Checkpoint.parse(opened(proof.note, [verifier]))
        assert proof.index == position - 1 and checkpoint.size == len(hashes)
        assert is_included(hashes[position - 1], proof.index, checkpoint.size, proof.hashes, checkpoint.root)
        assert not is_included(hashes[position - 2], proof.index, checkpoint.size, proof.hashes, checkpoint.root)


def test_an_event_after_the_last_seal_has_no_proof_yet(desk: Desk, signer: Signer) -> None:
    account_id = desk.open(recharged_minor=10)
    seal(desk.engine, signer)
    spend(desk, account_id, 1)

    with desk.engine.connect() as connection:
        assert event_proof(connection, 2) is not None
        assert event_proof(connection, 3) is None
        assert event_proof(connection, 0) is None
        assert event_proof(connection, -1) is None


def test_tiles_are_the_hashes_of_their_level_as_far_as_is_sealed(desk: Desk, signer: Signer) -> None:
    account_id = desk.open(recharged_minor=10_000)
    spend(desk, account_id, 600)
    seal(desk.engine, signer)
    hashes = leaves(desk)
    spend(desk, account_id, 300)

    with desk.engine.connect() as connection:
        assert tile(connection, 0, 1, TILE_WIDTH) == b"".join(hashes[256:512])
        assert tile(connection, 0, 2, 602 - 512) == b"".join(hashes[512:602])
        assert tile(connection, 0, 2, TILE_WIDTH) is None
        assert tile(connection, 1, 0, 2) == whole_root(hashes[:256]) + whole_root(hashes[256:512])
        assert tile(connection, 1, 0, 3) is None
        assert tile(connection, 2, 0, 1) is None
        assert tile(connection, 0, 0, 0) is None
        assert tile(connection, 63, 10**12, 1) is None


def test_a_long_log_is_taken_up_in_steps(desk: Desk, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "ENTRIES_PER_STEP", 1)
    account_id = desk.open(recharged_minor=10_000)
    spend(desk, account_id, 800)

    done = [extend(desk.engine, steps_max=2), extend(desk.engine, steps_max=2), extend(desk.engine, steps_max=2)]
    sealed = seal(desk.engine, signer)

    assert done == [False, True, True]
    assert sealed is not None and sealed.root == root_of(leaves(desk))


def test_sealers_at_the_same_time_seal_each_size_once(desk: Desk, signer: Signer, key_file: Path) -> None:
    account_id = desk.open(recharged_minor=10_000)
    sealed: list[Sealed | None] = []

    def run() -> None:
        sealed.extend(seal(desk.engine, Signer(key_file)) for _ in range(8))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        spend(desk, account_id, 200)
    for thread in threads:
        thread.join()
    seal(desk.engine, signer)

    sizes = [each.size for each in sealed if each is not None]
    assert len(sizes) == len(set(sizes)) >= 1
    assert newest(desk).root == root_of(leaves(desk))


def test_a_seal_that_was_signed_and_not_stored_is_made_again(desk: Desk, signer: Signer) -> None:
    account_id = desk.open(recharged_minor=10)
    # As after a crash between the two.
    signer.sign(2, root_of(leaves(desk)), lambda old, new: [])
    again = seal(desk.engine, signer)
    signer.sign(2, root_of(leaves(desk)), lambda old, new: [])
    spend(desk, account_id, 2)
    later = seal(desk.engine, signer)

    assert again is not None and later is not None and (again.size, later.size) == (2, 4)


def test_a_log_that_was_shortened_is_not_sealed(desk: Desk, signer: Signer) -> None:
    desk.open(recharged_minor=10)
    seal(desk.engine, signer)
    with desk.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql("UPDATE log_head SET position=1")

    with pytest.raises(SigningRefused, match="shortened"):
        seal(desk.engine, signer)


def test_a_log_whose_checkpoints_and_memory_are_gone_is_sealed_anew_only_without_both(
    desk: Desk, signer: Signer, key_file: Path
) -> None:
    desk.open(recharged_minor=10)
    seal(desk.engine, signer)
    key_file.with_name("key.state").unlink()
    with desk.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql("UPDATE log_head SET position=1")

    # The memory was rolled back, and the database still knows.
    with pytest.raises(SigningRefused, match="sealed"):
        seal(desk.engine, Signer(key_file))


@pytest.mark.parametrize("table", ["tree_hashes", "checkpoints"])
@pytest.mark.parametrize("change", ["DELETE FROM {table}", "UPDATE {table} SET {column}={column}"])
def test_what_was_sealed_cannot_be_changed_through_the_service(
    desk: Desk, signer: Signer, table: str, change: str
) -> None:
    account_id = desk.open(recharged_minor=1_000)
    spend(desk, account_id, 300)
    seal(desk.engine, signer)
    column = {"tree_hashes": "entry", "checkpoints": "size"}[table]

    with (
        pytest.raises(sa.exc.DBAPIError, match="append-only"),
        desk.engine.execution_options(write=True).begin() as connection,
    ):
        connection.exec_driver_sql(change.format(table=table, column=column))
