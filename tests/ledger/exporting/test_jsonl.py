"""JSON lines hold exactly the log's bytes, are whole or not there, and go on where an export was interrupted."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ledger.audit.findings import CannotTell
from ledger.clock import rfc3339
from ledger.commands import Deduct
from ledger.exporting.events import ExportedEvent
from ledger.exporting.export import Place, export
from ledger.exporting.files import part_of
from ledger.exporting.writing import ExportRefused
from ledger.leaf import LEAF_FIELDS
from ledger.settings import LedgerSettings
from root import Root
from sealed_books import NAME, Auditor, Books, lines_of
from submissions import submission

ROOT = Path(__file__).parent.parent.parent.parent


def test_every_field_of_the_leaf_is_exported_as_it_is_stored(books: Books) -> None:
    lines = lines_of(books.export("all.jsonl"))

    header, *rest = lines
    events = [line for line in rest if "position" in line]
    rows = books.rows()
    assert tuple(ExportedEvent.__struct_fields__) == (*LEAF_FIELDS, "leaf_hash")
    assert (header["format"], header["origin"]) == ("orderledger-export/v1", NAME)
    assert (header["from"], header["to"], header["head"], header["before"]) == (1, len(rows), len(rows), [])
    assert [list(each) for each in events] == [[*LEAF_FIELDS, "leaf_hash"]] * len(rows)
    for event, row in zip(events, rows, strict=True):
        for name, value in row.items():
            if isinstance(value, bytes):
                value = value.hex() if name in ("event_id", "details_hash", "leaf_hash") else value.decode()
            assert event[name] == value


def test_the_trailer_adds_up_what_the_lines_hold(books: Books) -> None:
    *_, last = lines_of(books.export("all.jsonl", 3, 70))

    sums: Counter[tuple[str, str]] = Counter()
    types: Counter[str] = Counter()
    for row in books.rows()[2:70]:
        types[row["type"]] += 1
        for leg in json.loads(row["postings"]):
            sums[leg["account"], leg["currency"]] += leg["amount_minor"]
    trailer = last["trailer"]
    found = {
        (account, code): sum_ for account, by_code in trailer["postings"].items() for code, sum_ in by_code.items()
    }
    assert (trailer["from"], trailer["to"], trailer["events"], trailer["checkpoints"]) == (3, 70, 68, 2)
    assert (trailer["types"], found) == (types, sums)


def test_checkpoints_follow_the_events_they_cover(sqlite_books: Books) -> None:
    first, second = sqlite_books.sealed
    lines = lines_of(sqlite_books.export("all.jsonl"))

    places = {
        lines[index - 1]["position"]: line["checkpoint"] for index, line in enumerate(lines) if "checkpoint" in line
    }
    assert places == {first.size: first.note, second.size: second.note}


def test_no_erasable_text_is_exported(sqlite_books: Books) -> None:
    customer = sqlite_books.desk.open()
    sqlite_books.desk.recharge(customer, 100, details={"memo": "for Zhao's wedding"})

    for name in ("all.jsonl", "all.csv", "all.beancount", "all.parquet"):
        assert b"wedding" not in sqlite_books.export(name).read_bytes()


def test_a_range_can_be_named_by_times(sqlite_books: Books) -> None:
    rows = sqlite_books.rows()
    start, end = rows[19]["recorded_at_us"], rows[29]["recorded_at_us"]
    wanted = [row["position"] for row in rows if start <= row["recorded_at_us"] <= end]
    out = io.BytesIO()

    export(sqlite_books.settings, out, format="jsonl", first=Place(time_us=start), last=Place(time_us=end))

    found = [json.loads(line).get("position") for line in out.getvalue().splitlines()]
    assert [position for position in found if position is not None] == wanted


def test_what_comes_in_meanwhile_is_left_for_the_next_export(sqlite_books: Books, auditor: Auditor) -> None:
    customer, head = sqlite_books.desk.open(recharged_minor=100), len(sqlite_books.rows())

    def busy(done: int, total: int) -> None:
        sqlite_books.desk.deduct(customer, 1)

    first = sqlite_books.export("first.jsonl", progress=busy)
    assert len(sqlite_books.rows()) > head
    sqlite_books.seal()
    second = sqlite_books.export("second.jsonl", head + 1)

    assert lines_of(first)[-1]["trailer"]["to"] == head
    assert lines_of(second)[0]["from"] == head + 1
    assert auditor.verify(second, "--key", sqlite_books.key).code == 0


def test_a_log_that_is_not_sealed_is_exported_too_and_sealing_meanwhile_does_no_harm(
    sqlite_books: Books, auditor: Auditor
) -> None:
    root = Root(sqlite_books.desk.engine, sqlite_books.url)
    root.run("DELETE FROM checkpoints")
    root.run("DELETE FROM tree_hashes")
    bare = sqlite_books.export("bare.jsonl", 30)
    assert lines_of(bare)[0]["origin"] is None

    meanwhile = sqlite_books.export(
        "meanwhile.jsonl", 30, progress=lambda done, total: done or (sqlite_books.seal() and None)
    )

    assert auditor.verify(bare, "--key", sqlite_books.key).code == 2
    assert auditor.verify(meanwhile, "--key", sqlite_books.key).code == 0


def many(books: Books, events: int) -> None:
    """Lengthen the log by so many events."""
    customer = books.desk.open(recharged_minor=10**9)
    command = Deduct(account_id=customer, amount_minor=1, currency="CNY")
    for _ in range(events // 500):
        books.desk.ledger.append_batch([submission(command) for _ in range(500)], atomic=False)


def test_an_interrupted_export_goes_on_and_comes_out_the_same(books: Books, auditor: Auditor) -> None:
    many(books, 3_000)
    books.seal()
    whole = books.export("whole.jsonl", 4).read_bytes()
    header, _, rest = whole.partition(b"\n")
    ends = [len(header) + 1 + index + 1 for index, byte in enumerate(rest) if byte == 10]
    path = books.folder / "again.jsonl"

    for length in (
        len(header) + 1,
        len(header) + 9,
        ends[0],
        ends[1] + 7,
        ends[45],
        ends[-500] + 1,
        ends[-2],
        len(whole),
    ):
        part_of(path).write_bytes(whole[:length])
        books.export("again.jsonl", 4, resume=True)
        assert path.read_bytes() == whole
        assert not part_of(path).exists()
        path.unlink()
    part_of(path).write_bytes(whole[: ends[60]])
    books.export("again.jsonl", resume=True)
    assert path.read_bytes() == whole, "the range is the one it was begun with"
    assert auditor.verify(path, "--key", books.key).code == 0


def test_a_part_is_not_gone_on_with_when_it_is_of_something_else(sqlite_books: Books) -> None:
    path = sqlite_books.folder / "again.jsonl"
    whole = sqlite_books.export("whole.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    other = b"".join(lines[:9]).replace(b'"leaf_hash":"', b'"leaf_hash":"00')

    for part, more, words in (
        (b"".join(lines[:9]), {"first": 2}, "--from 1"),
        (b"".join(lines[:9]), {"last": 7}, "--to"),
        (b"a,b\n1,2\n", {}, "header"),
        (lines[0].replace(b"/v1", b"/v9") + lines[1], {}, "another release"),
        (lines[0].replace(b'"head":', b'"head":9') + lines[1], {}, "this one has"),
        (other.replace(b'"00', b'"', 1).replace(b'"leaf_hash":"00', b'"leaf_hash":"'), None, ""),
    ):
        part_of(path).write_bytes(part)
        if more is None:
            continue
        with pytest.raises(ExportRefused, match=words):
            sqlite_books.export("again.jsonl", resume=True, **more)
        assert part_of(path).read_bytes() == part, "a part that is refused stays as it is"
    hashes = json.loads(lines[5])["leaf_hash"].encode()
    part_of(path).write_bytes(b"".join(lines[:7]).replace(hashes, b"0" * 64))
    with pytest.raises(ExportRefused, match="another log"):
        sqlite_books.export("again.jsonl", resume=True)


def test_files_are_new_and_whole_or_not_there(sqlite_books: Books) -> None:
    path = sqlite_books.export("all.jsonl")
    content = path.read_bytes()

    with pytest.raises(ExportRefused, match="exists"):
        sqlite_books.export("all.jsonl")
    with pytest.raises(ExportRefused, match="leave out --resume"):
        sqlite_books.export("new.jsonl", resume=True)
    for name in ("new.csv", "new.beancount", "new.parquet"):
        part_of(sqlite_books.folder / name).write_bytes(b"old")
        with pytest.raises(ExportRefused, match="only jsonl can"):
            sqlite_books.export(name, resume=True)
        sqlite_books.export(name)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv", "all.beancount", "all.parquet"])
def test_an_export_that_fails_leaves_no_file_that_looks_whole(sqlite_books: Books, name: str) -> None:
    root = Root(sqlite_books.desk.engine, sqlite_books.url)
    root.run("DELETE FROM events WHERE position=50")
    path = sqlite_books.folder / name

    with pytest.raises(CannotTell, match="position 50"):
        sqlite_books.export(name)

    assert not path.exists()
    # Only what can be gone on with is kept.
    assert part_of(path).exists() == (name == "all.jsonl")
    if name == "all.jsonl":
        with pytest.raises(ExportRefused, match="--resume"):
            sqlite_books.export(name)


@pytest.mark.parametrize(
    "change",
    ["postings='[{}]'", "postings=X'FF'", "data=X'FF'", "account_id=X'FF'", "version='x'", "idempotency_key=X'FF'"],
)
def test_what_the_ledger_never_writes_is_refused_with_its_position(sqlite_books: Books, change: str) -> None:
    Root(sqlite_books.desk.engine, sqlite_books.url).run(f"UPDATE events SET {change} WHERE position=50")

    with pytest.raises(CannotTell, match=r"position 50 .*audit verify"):
        sqlite_books.export("all.jsonl")


def test_the_first_replica_is_read_when_there_is_one(sqlite_books: Books) -> None:
    settings = LedgerSettings(database_url="sqlite:////nowhere/ledger.sqlite", replica_urls=(sqlite_books.url,))
    out = io.BytesIO()

    assert export(settings, out, format="jsonl").events == len(sqlite_books.rows())

    with pytest.raises(CannotTell, match="cannot be read"):
        export(LedgerSettings(database_url=settings.database_url), out, format="jsonl")


def test_ranges_without_events_are_refused_in_words(sqlite_books: Books) -> None:
    head = len(sqlite_books.rows())

    for first, last, words in (
        (head + 1, None, f"ends at position {head}"),
        (None, head + 1, f"ends at position {head}"),
        (7, 6, "from position 7 to 6"),
        (0, 6, "from position 0 to 6"),
    ):
        with pytest.raises(ExportRefused, match=words):
            sqlite_books.export("none.jsonl", first, last)
    assert not part_of(sqlite_books.folder / "none.jsonl").exists()


class Shell:
    """Runs `orderledger audit` on the books."""

    def __init__(self, books: Books) -> None:
        self._environment = {**os.environ, "ORDERLEDGER_DATABASE_URL": books.url, "PYTHONPATH": str(ROOT)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "orderledger", "audit", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(*arguments), env=self._environment, stderr=subprocess.DEVNULL)


def test_the_command_writes_text_to_standard_output_and_says_what_a_file_holds(
    books: Books, tmp_path: Path, auditor: Auditor
) -> None:
    shell, head = Shell(books), len(books.rows())
    at = rfc3339(books.rows()[9]["recorded_at_us"])

    printed = shell.run("export", "--from", "5", "--to", at)
    (tmp_path / "printed.jsonl").write_text(printed.stdout)
    written = shell.run("export", "--output", str(tmp_path / "out.jsonl"), "--json")

    assert (printed.returncode, printed.stderr) == (0, "")
    assert auditor.verify(tmp_path / "printed.jsonl", "--key", books.key).code == 0
    told = json.loads(written.stdout)
    assert (told["from"], told["to"], told["head"], told["events"]) == (1, head, head, head)
    assert auditor.verify(tmp_path / "out.jsonl", "--key", books.key).code == 0
    for wrong in (
        ("--format", "parquet"),
        ("--resume",),
        ("--json",),
        ("--from", "yesterday"),
        ("--format", "xml"),
        ("--from", str(head + 1)),
        ("--output", str(tmp_path / "out.jsonl")),
        ("--output", str(tmp_path / "nowhere" / "out.jsonl")),
    ):
        refused = shell.run("export", *wrong)
        assert (refused.returncode, refused.stdout) == (2, ""), wrong
        assert "Traceback" not in refused.stderr


def test_a_killed_export_is_gone_on_with(sqlite_books: Books, tmp_path: Path, auditor: Auditor) -> None:
    many(sqlite_books, 30_000)
    sqlite_books.seal()
    shell, path = Shell(sqlite_books), tmp_path / "killed.jsonl"
    running = shell.start("export", "--output", str(path))
    deadline = time.monotonic() + 30
    while not (part_of(path).exists() and part_of(path).stat().st_size > 100_000):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not path.exists()

    again = shell.run("export", "--output", str(path), "--resume")

    assert again.returncode == 0, again.stderr
    verdict = auditor.verify(path, "--key", sqlite_books.key)
    assert verdict.code == 0 and f"1 to {len(sqlite_books.rows())} are signed for" in verdict.words
