"""A file is written by one run at a time; a second one is refused and touches nothing."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from ledger.exporting import files
from ledger.exporting.files import part_of, whole_file
from ledger.exporting.writing import ExportRefused


@pytest.mark.parametrize(("resumable", "resume"), [(False, False), (True, True)])
def test_a_file_that_is_being_written_is_refused_to_a_second_run(
    tmp_path: Path, *, resumable: bool, resume: bool
) -> None:
    path = tmp_path / "export"

    with whole_file(path, resumable=resumable, resume=False) as file:
        file.write(b"whole")
        file.flush()
        with (
            pytest.raises(ExportRefused, match="another run"),
            whole_file(path, resumable=resumable, resume=resume),
        ):
            pass
        assert part_of(path).read_bytes() == b"whole"

    assert path.read_bytes() == b"whole"
    assert not part_of(path).exists()


@pytest.mark.parametrize("resumable", [False, True])
def test_a_file_that_is_put_in_place_while_a_second_run_begins_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, resumable: bool
) -> None:
    path = tmp_path / "export"
    first = whole_file(path, resumable=resumable, resume=False)
    first.__enter__().write(b"whole")
    lock = fcntl.flock

    def end_the_first_and_lock(*arguments: Any) -> None:
        first.__exit__(None, None, None)
        lock(*arguments)

    monkeypatch.setattr(files.fcntl, "flock", end_the_first_and_lock)

    with pytest.raises(ExportRefused, match="another run"), whole_file(path, resumable=resumable, resume=resumable):
        pass

    assert path.read_bytes() == b"whole"
    assert not part_of(path).exists()


def test_what_a_run_that_broke_off_left_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "export"
    part_of(path).write_bytes(b"left by a longer run")

    with whole_file(path, resumable=False, resume=False) as file:
        file.write(b"whole")

    assert path.read_bytes() == b"whole"


def test_a_file_that_somebody_else_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "export"

    with pytest.raises(ExportRefused, match="exists"), whole_file(path, resumable=False, resume=False):
        path.write_bytes(b"another")

    assert path.read_bytes() == b"another"
    assert not part_of(path).exists()


def test_a_private_file_is_its_owners_alone_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "export"

    with whole_file(path, resumable=False, resume=False, private=True):
        begun = part_of(path).stat().st_mode & 0o777

    assert (begun, path.stat().st_mode & 0o777) == (0o600, 0o600)
