"""Files that are whole or not there: written under another name, put in place once all is on disk, by one run at a time."""

from __future__ import annotations

import fcntl
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
def whole_file(path: Path, *, resumable: bool, resume: bool, private: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write, which becomes `path` at the end. Raises ExportRefused.

    `resumable`: after a failure the part stays, and is never overwritten. `resume`: it is opened where it begins.
    `private`: nobody but its owner may read it.
    """
    part = part_of(path)
    _ensure_new(path)
    if resume and not part.exists():
        raise ExportRefused(problem=f"there is no {part} to go on with; leave out --resume")
    if resumable and not resume and part.exists():
        raise ExportRefused(problem=f"{part} was left by an interrupted export; go on with --resume, or remove it")
    try:
        with _alone(part, path, resume=resume, mode=0o600 if private else 0o666) as file:
            # Removed or renamed while it is locked: it is nobody else's then.
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                # Whoever put it there took no lock.
                _ensure_new(path)
            except BaseException:
                if not resumable:
                    part.unlink(missing_ok=True)
                raise
            part.rename(path)
    except OSError as error:
        raise ExportRefused(problem=f"{part} cannot be written: {error.strerror}") from None
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _alone(part: Path, path: Path, *, resume: bool, mode: int) -> Iterator[BinaryIO]:
    """Open a part that nobody else writes; what is in it goes, unless it is resumed. Raises ExportRefused, OSError."""
    # Nothing of it goes before the lock is ours.
    descriptor = os.open(part, os.O_RDWR if resume else os.O_RDWR | os.O_CREAT, mode)
    with os.fdopen(descriptor, "r+b" if resume else "wb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another run may have put it in place, or removed it, since it was opened.
            is_ours = os.path.samestat(os.fstat(descriptor), part.stat())
        except (BlockingIOError, FileNotFoundError):
            is_ours = False
        if not is_ours:
            raise ExportRefused(problem=f"another run is writing {part}; let it end first")
        if not resume:
            if path.exists():
                part.unlink()
            _ensure_new(path)
            file.truncate()
        yield file


def _ensure_new(path: Path) -> None:
    if path.exists():
        raise ExportRefused(problem=f"{path} exists; name a new file")
