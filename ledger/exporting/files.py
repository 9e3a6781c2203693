"""Files that are whole or not there: written under another name, put in place once all is on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ledger.exporting.writing import ExportRefused


def part_of(path: Path) -> Path:
    """Return where a file is written until it is whole."""
    return path.with_name(path.name + ".part")


@contextmanager
def whole_file(path: Path, *, resumable: bool, resume: bool) -> Iterator[BinaryIO]:
    """Yield a file to write, which becomes `path` at the end. Raises ExportRefused.

    `resumable`: after a failure the part stays, and is never overwritten. `resume`: it is opened where it begins.
    """
    part = part_of(path)
    if path.exists():
        raise ExportRefused(problem=f"{path} exists; name a new file")
    if resume and not part.exists():
        raise ExportRefused(problem=f"there is no {part} to go on with; leave out --resume")
    if resumable and not resume and part.exists():
        raise ExportRefused(problem=f"{part} was left by an interrupted export; go on with --resume, or remove it")
    is_whole = False
    try:
        with part.open("r+b" if resume else "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        is_whole = True
    except OSError as error:
        raise ExportRefused(problem=f"{part} cannot be written: {error.strerror}") from None
    finally:
        if not is_whole and not resumable:
            part.unlink(missing_ok=True)
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
