"""An archive holds what is sealed, and each of its files is verified without the database: any change is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from ledger.archive.archiving import Archived, archive
from ledger.archive.proving import archived_proof
from ledger.archive.segments import rows_of, segments_of
from ledger.archive.verifying import verify_segments
from ledger.audit.findings import CANNOT_TELL, CLEAN, TAMPERED, CannotTell, Report
from ledger.audit.leaves import plain_hash
from ledger.audit.reading import EventReader
from ledger.exporting.writing import ExportRefused
from ledger.leaf import leaf_hash
from ledger.proofs.checking import Kept
from ledger.proofs.notes import Checkpoint, SigningKey, VerifierKey, opened, unopened
from ledger.proofs.tree import is_included
from root import live
from sealed_books import NAME, Books

SEGMENT = 7
"""Odd on purpose: then no segment begins where a large subtree does."""


def archived(books: Books, *, segment_events: int = SEGMENT, name: str = "archive") -> Archived:
    return archive(books.settings, books.folder / name, segment_events=segment_events)


def verified(books: Books, *paths: Path, kept: Sequence[Kept] = (), key: str | None = None) -> Report:
    return verify_segments(segments_of(paths), [VerifierKey.parse(key or books.key)], kept=kept)


def rewritten(path: Path, change: Callable[[dict[str, list[Any]]], None], **metadata: str) -> None:
    """Write a file anew with other values; its metadata too."""
    table = pyarrow.parquet.read_table(path)
    said = {
        name: value
        for name, value in pyarrow.parquet.ParquetFile(path).metadata.metadata.items()
        if name.startswith(b"orderledger.")
    }
    columns = table.to_pydict()
    change(columns)
    more = {f"orderledger.{name}".encode(): value.encode() for name, value in metadata.items()}
    schema = table.schema.with_metadata({**said, **more})
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), path)


def test_an_archive_reaches_as_far_as_whole_segments_are_sealed_and_goes_on_later(books: Books) -> None:
    sealed = books.sealed[-1].size

    first = archived(books)

    assert first.last == sealed // SEGMENT * SEGMENT and first.sealed == sealed
    assert [path.name for path in first.written] == [
        f"events-{number * SEGMENT + 1:015d}-{number * SEGMENT + SEGMENT:015d}.parquet"
        for number in range(sealed // SEGMENT)
    ]
    assert archived(books).written == []

    live(books.desk)
    books.seal()
    before = {path: path.read_bytes() for path in first.written}
    second = archived(books)

    assert len(second.written) > 0 and second.last > first.last
    assert before == {path: path.read_bytes() for path in first.written}
    report = verified(books, books.folder / "archive")
    assert (report.status, report.events, report.first_bad_position) == (CLEAN, second.last, None), report
    assert "credit limits" in report.checked


def test_what_is_not_sealed_is_not_archived(sqlite_books: Books) -> None:
    sealed = sqlite_books.sealed[-1].size

    assert archived(sqlite_books, segment_events=sealed + 1).written == []
    assert archived(sqlite_books, segment_events=sealed, name="whole").last == sealed


def test_each_file_is_verified_alone_and_any_of_them_together(sqlite_books: Books) -> None:
    files = archived(sqlite_books).written

    for file in files:
        report = verified(sqlite_books, file)
        assert (report.status, report.events) == (CLEAN, SEGMENT), report
        assert ("credit limits" in report.checked) == (file == files[0])
    with_a_gap = verified(sqlite_books, *files[2:4], files[0])
    assert (with_a_gap.status, with_a_gap.events) == (CLEAN, 3 * SEGMENT)
    assert "balances" in with_a_gap.checked
    assert not {"credit limits", "order transitions", "holds"} & set(with_a_gap.checked)
    assert verified(sqlite_books, files[4], *files[1:3]).status == CLEAN


def test_every_event_is_proven_from_its_file_alone(books: Books) -> None:
    files = archived(books).written
    keys = [VerifierKey.parse(books.key)]
    rows = {row["position"]: row["leaf_hash"] for row in books.rows()}

    for position in range(1, len(files) * SEGMENT + 1):
        proof = archived_proof(segments_of([files[(position - 1) // SEGMENT]]), position)

        assert proof is not None
        checkpoint = Checkpoint.parse(opened(proof.note, keys))
        leaf = leaf_hash(proof.extra)
        assert leaf == rows[position]
        assert is_included(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    assert archived_proof(segments_of(files), len(files) * SEGMENT + 1) is None


def read(row: Sequence[bytes | None]) -> tuple[bytes | None, ...]:
    """Return a row with one form for what is missing, and one for hexadecimal."""
    return tuple(
        None if value in (None, b"") else value.lower() if value and index in (1, 8, 14, 17) else value
        for index, value in enumerate(row)
    )


def test_the_rows_of_a_file_are_those_that_an_audit_of_the_database_reads(books: Books) -> None:
    files = archived(books, segment_events=2 * SEGMENT).written
    reader = EventReader(books.url, books.settings)
    wanted = [read(row) for page in reader.pages(1, len(files) * 2 * SEGMENT) for row in page]
    reader.close()

    assert [tuple(row) for segment in segments_of(files) for rows in rows_of(segment) for row in rows] == wanted


@pytest.mark.parametrize("column", ["position", "event_id", "account_id", "version", "type", "schema_version", "order_id",
    "actor", "idempotency_key", "correlation_id", "causation_id", "recorded_at", "available_minor", "held_minor",
    "details_hash", "data", "postings", "leaf_hash"])  # fmt: skip
def test_a_changed_value_is_found_where_it_is(sqlite_books: Books, column: str) -> None:
    files = archived(sqlite_books, segment_events=2 * SEGMENT).written
    at = SEGMENT + 2

    def change(columns: dict[str, list[Any]]) -> None:
        value = columns[column][at]
        if isinstance(value, int):
            columns[column][at] = value + 1
        elif isinstance(value, bytes):
            columns[column][at] = value[:-1] + bytes([value[-1] ^ 1])
        elif isinstance(value, str):
            columns[column][at] = value + " "
        elif value is None:
            columns[column][at] = bytes(32) if column == "details_hash" else "x"
        else:
            columns[column][at] = value.replace(microsecond=(value.microsecond + 1) % 1_000_000)

    rewritten(files[1], change)

    report = verified(sqlite_books, sqlite_books.folder / "archive")
    assert report.status == TAMPERED
    assert report.first_bad_position is not None
    assert report.first_bad_position - 2 * SEGMENT - 1 in ((at - 1, at, at + 1) if column == "position" else (at,))
    assert verified(sqlite_books, files[1]).status == TAMPERED


def test_events_removed_doubled_or_swapped_are_found(sqlite_books: Books) -> None:
    for number, change in enumerate(
        (
            lambda column: column.pop(3),
            lambda column: column.pop(),
            lambda column: column.append(column[-1]),
            lambda column: column.insert(2, column.pop(3)),
        )
    ):
        file = archived(sqlite_books, name=str(number)).written[1]

        def each_column(columns: dict[str, list[Any]], change: Callable[[list[Any]], Any] = change) -> None:
            for column in columns.values():
                change(column)

        rewritten(file, each_column)

        assert verified(sqlite_books, file).status == TAMPERED, number
        assert verified(sqlite_books, file.parent).status == TAMPERED, number


def test_a_history_made_anew_with_good_hashes_is_found_by_the_signature(sqlite_books: Books) -> None:
    file = archived(sqlite_books).written[1]
    rows = next(iter(rows_of(segments_of([file])[0])))

    def change(columns: dict[str, list[Any]]) -> None:
        columns["actor"][2] = "key:another"
        row = [*rows[2]]
        row[7] = b"key:another"
        columns["leaf_hash"][2] = plain_hash(row)

    rewritten(file, change)

    report = verified(sqlite_books, file)
    assert (report.status, report.first_bad_position) == (TAMPERED, SEGMENT + 1)
    assert report.finding is not None and "not those that were signed for" in report.finding


def test_another_logs_segment_and_anothers_signature_do_not_count(sqlite_books: Books) -> None:
    file = archived(sqlite_books).written[1]
    stranger = SigningKey.make(NAME)

    report = verified(sqlite_books, file, key=str(stranger.verifier))

    assert (report.status, report.first_bad_position) == (TAMPERED, SEGMENT + 1)
    note = stranger.signature(unopened(segments_of([file])[0].note))
    rewritten(file, lambda columns: None, checkpoint=unopened(segments_of([file])[0].note) + "\n" + note)
    assert verified(sqlite_books, file).status == TAMPERED
    assert verified(sqlite_books, file, key=str(stranger.verifier)).status == CLEAN


def test_metadata_of_another_place_are_found(sqlite_books: Books) -> None:
    files = archived(sqlite_books).written
    other = segments_of(files)[2]
    for metadata in (
        {"before": " ".join(root.hex() for root in other.before)},
        {"after": " ".join(root.hex() for root in other.after)},
        {"checkpoint": other.note, "after": ""},
        {"from": "9", "to": "15"},
        {"to": "13"},
    ):
        file = archived(sqlite_books, name=f"with {'-'.join(metadata)}").written[1]
        rewritten(file, lambda columns: None, **metadata)
        try:
            status = verified(sqlite_books, file).status
        except CannotTell:
            status = CANNOT_TELL
        assert status in (TAMPERED, CANNOT_TELL), metadata


def test_a_checkpoint_that_was_kept_is_compared(sqlite_books: Books) -> None:
    folder = sqlite_books.folder / "archive"
    archived(sqlite_books)
    good = Checkpoint.parse(unopened(sqlite_books.sealed[0].note))
    assert good.size > SEGMENT

    assert verified(sqlite_books, folder, kept=[Kept(good, "mine")]).status == CLEAN
    report = verified(
        sqlite_books, folder, kept=[Kept(Checkpoint(origin=NAME, size=good.size, root=bytes(32)), "mine")]
    )
    assert report.status == TAMPERED and report.finding is not None and "mine" in report.finding
    wrong = Kept(Checkpoint(origin=NAME, size=good.size, root=bytes(32)), "another's")
    for several in ([Kept(good, "mine"), wrong], [wrong, Kept(good, "mine")]):
        assert verified(sqlite_books, folder, kept=several).status == TAMPERED
    beyond = Kept(Checkpoint(origin=NAME, size=10_000, root=bytes(32)), "mine")
    assert verified(sqlite_books, folder, kept=[beyond]).status == CANNOT_TELL


def test_bytes_damaged_anywhere_never_pass_for_other_events(sqlite_books: Books) -> None:
    file = archived(sqlite_books).written[1]
    content = file.read_bytes()
    wanted = [tuple(row) for rows in rows_of(segments_of([file])[0]) for row in rows]
    chance = random.Random(7)

    for _ in range(200):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            segments = segments_of([file])
            status = verified(sqlite_books, file).status
        except CannotTell:
            continue
        if status == CLEAN:
            # Statistics and the like: the events are the same.
            assert [tuple(row) for rows in rows_of(segments[0]) for row in rows] == wanted


def test_a_folder_that_does_not_fit_is_refused_and_stays_as_it_is(
    sqlite_books: Books, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = archived(sqlite_books).written
    kept = {path.name: path.read_bytes() for path in files}

    with pytest.raises(ExportRefused, match="--segment 7"):
        archived(sqlite_books, segment_events=SEGMENT + 1)
    files[1].rename(sqlite_books.folder / "elsewhere")
    with pytest.raises(ExportRefused, match=f"position {SEGMENT + 1}"):
        archived(sqlite_books)
    (sqlite_books.folder / "elsewhere").rename(files[1])
    with pytest.raises(CannotTell, match="no segment"):
        segments_of([tmp_path_factory.mktemp("empty")])
    (sqlite_books.folder / "text.parquet").write_text("not parquet")
    with pytest.raises(CannotTell, match="cannot be read"):
        segments_of([sqlite_books.folder / "text.parquet"])
    with pytest.raises(CannotTell, match="same positions"):
        segments_of([files[0], sqlite_books.folder / "archive"])

    assert {path.name: path.read_bytes() for path in files} == kept


def test_an_archive_of_another_log_is_not_gone_on_with(sqlite_books: Books) -> None:
    newest = archived(sqlite_books).written[-1]
    before = [bytes(32) for _ in segments_of([newest])[0].before]
    rewritten(newest, lambda columns: None, before=" ".join(root.hex() for root in before))

    with pytest.raises(ExportRefused, match="another log"):
        archived(sqlite_books)


@pytest.mark.parametrize("segments", [1, 2])
def test_another_log_does_not_go_on_with_an_archive_of_any_length(
    sqlite_books: Books, other_books: Books, segments: int
) -> None:
    folder = sqlite_books.folder / "archive"
    for file in archived(sqlite_books).written[segments:]:
        file.unlink()

    with pytest.raises(ExportRefused, match="another log"):
        archive(other_books.settings, folder, segment_events=SEGMENT)

    assert len(list(folder.iterdir())) == segments
    assert archived(sqlite_books).last > segments * SEGMENT
