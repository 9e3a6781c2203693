"""Who signs checkpoints: a key in a file, and the memory of what it signed last, outside the database.

Whoever can write to the database can shorten or rewrite the log, but cannot make the signer sign what contradicts its
last checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.errors import BadSetting, LedgerError
from ledger.proofs.notes import BadNote, Checkpoint, SigningKey
from ledger.proofs.tree import is_consistent
from ledger.settings import PREFIX

FILE_MODE = 0o600

Prove = Callable[[int, int], Sequence[bytes]]
"""Returns the proof that the tree of the second size begins with that of the first."""


@dataclass(eq=False, kw_only=True)
class SigningRefused(LedgerError):
    """What was to be signed contradicts what was signed before: the log was shortened or rewritten, or is another one."""

    code = "signing-refused"
    message = "{problem}"
    problem: str


class Signer:
    """Signs with the key in a file. Safe to use from several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = path.with_name(path.name + ".state")
        self.key = read_key(path)

    def sign(self, size: int, root: bytes, prove: Prove) -> str:
        """Return the signed checkpoint. Raises SigningRefused."""
        wanted = Checkpoint(origin=self.key.name, size=size, root=root)
        with self._locked():
            last = self._last()
            if last is not None and last.size > 0:
                _ensure_goes_on(last, wanted, prove)
            # Remembered first: a checkpoint that was handed out must never be forgotten.
            self._remember(wanted)
            return self.key.sign(wanted.text())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _last(self) -> Checkpoint | None:
        try:
            found: dict[str, Any] = json.loads(self._state.read_text("utf-8"))
            return Checkpoint(origin=found["origin"], size=found["size"], root=bytes.fromhex(found["root"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise SigningRefused(
                problem=f"{self._state} cannot be read; put back a copy of it, or verify the log against a checkpoint "
                "that left this machine, before you remove it"
            ) from None

    def _remember(self, checkpoint: Checkpoint) -> None:
        content = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
        _write(self._state, json.dumps(content) + "\n", exclusively=False)


def read_key(path: Path) -> SigningKey:
    """Return the key in a file. Raises BadSetting."""
    try:
        return SigningKey.parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, BadNote) as error:
        problem = str(error) if isinstance(error, BadNote) else f"{path} cannot be read: {type(error).__name__}"
        raise BadSetting(variable=f"{PREFIX}SIGNING_KEY_FILE", problem=problem) from None


def write_key(path: Path, key: SigningKey) -> None:
    """Write a new key that only its owner can read. Raises FileExistsError rather than lose an old one."""
    _write(path, f"{key}\n", exclusively=True)


def _ensure_goes_on(last: Checkpoint, wanted: Checkpoint, prove: Prove) -> None:
    if last.origin != wanted.origin:
        raise SigningRefused(problem=f"the key is of {wanted.origin}, and what was signed last was {last.origin}")
    if wanted.size < last.size:
        raise SigningRefused(
            problem=f"the log has {wanted.size} events, and {last.size} were signed for: it was shortened"
        )
    if not is_consistent(last.size, last.root, wanted.size, wanted.root, prove(last.size, wanted.size)):
        raise SigningRefused(
            problem=f"the first {last.size} events are not those that were signed for: they were changed"
        )


def _write(path: Path, text: str, *, exclusively: bool) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if exclusively:
            os.link(beside, path)
        else:
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
