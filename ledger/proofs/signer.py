"""Who signs checkpoints: keys in a file, and the memory of what was signed last, outside the database.

A key file has a key on each line, all of one name; every checkpoint is signed by all of them, so that a new key can be
handed out before the old one is removed. Whoever can write to the database can shorten or rewrite the log, but cannot
make the signer sign what contradicts its last checkpoint.
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
from ledger.proofs.notes import BadNote, Checkpoint, SigningKey, signed
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
    """Signs with the keys in a file. Safe to use from several processes: each has its turn. Raises BadSetting."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = read_keys(path)
        self.name = self._keys[0].name

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Be the only one who signs. Whoever looks at the log within its turn finds all that was signed for before it.

        Raises SigningRefused when the memory cannot be read.
        """
        with _locked(self._path):
            yield Turn(self._path, self._keys, remembered(self._path))

    def sign(self, size: int, root: bytes, prove: Prove) -> str:
        """Return the signed checkpoint. Raises SigningRefused."""
        with self.turn() as turn:
            return turn.sign(size, root, prove)


class Turn:
    """One signer's turn; `last` is what was signed before it."""

    def __init__(self, path: Path, keys: Sequence[SigningKey], last: Checkpoint | None) -> None:
        self._path = path
        self._keys = keys
        self.last = last

    def ensure_not_shorter(self, size: int) -> None:
        """Raise SigningRefused when more events were signed for than there are."""
        if self.last is not None and size < self.last.size:
            raise SigningRefused(
                problem=f"the log has {size} events, and {self.last.size} were signed for: it was shortened"
            )

    def sign(self, size: int, root: bytes, prove: Prove) -> str:
        """Return the signed checkpoint. Raises SigningRefused."""
        wanted = Checkpoint(origin=self._keys[0].name, size=size, root=root)
        if self.last is not None:
            if self.last.origin != wanted.origin:
                raise SigningRefused(
                    problem=f"the key is of {wanted.origin}, and what was signed last was {self.last.origin}"
                )
            self.ensure_not_shorter(size)
            if self.last.size > 0:
                _ensure_goes_on(self.last, wanted, prove)
        # Remembered first: a checkpoint that was handed out must never be forgotten.
        content = {"origin": wanted.origin, "size": wanted.size, "root": wanted.root.hex()}
        _write(state_of(self._path), json.dumps(content) + "\n", exclusively=False)
        self.last = wanted
        return signed(wanted.text(), self._keys)


def state_of(path: Path) -> Path:
    """Return where the memory of the key file's signer is."""
    return path.with_name(path.name + ".state")


def remembered(path: Path) -> Checkpoint | None:
    """Return what was signed last with the keys of this file; None: nothing yet. Raises SigningRefused."""
    state = state_of(path)
    try:
        found: dict[str, Any] = json.loads(state.read_text("utf-8"))
        return Checkpoint(origin=str(found["origin"]), size=int(found["size"]), root=bytes.fromhex(found["root"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise SigningRefused(
            problem=f"{state} cannot be read; put back a copy of it, or verify the log against a checkpoint that left "
            "this machine before you remove it"
        ) from None


def read_keys(path: Path) -> list[SigningKey]:
    """Return the keys in a file, at least one. Raises BadSetting."""
    try:
        keys = [SigningKey.parse(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        if not keys or len({key.name for key in keys}) != 1:
            raise BadNote(problem=f"{path} must have a key on each line, all of one name")
    except (OSError, UnicodeDecodeError, BadNote) as error:
        problem = str(error) if isinstance(error, BadNote) else f"{path} cannot be read: {type(error).__name__}"
        raise BadSetting(variable=f"{PREFIX}SIGNING_KEY_FILE", problem=problem) from None
    return keys


def write_key(path: Path, key: SigningKey) -> None:
    """Write a new key that only its owner can read. Raises FileExistsError rather than lose an old one."""
    _write(path, f"{key}\n", exclusively=True)


def add_key(path: Path) -> SigningKey:
    """Make another key of the same name, which signs beside the old ones from now on. Raises BadSetting."""
    with _locked(path):
        keys = read_keys(path)
        added = SigningKey.make(keys[0].name)
        _write(path, "".join(f"{key}\n" for key in (added, *keys)), exclusively=False)
        return added


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The files are replaced when they change, so what stands for both is a third one.
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CREAT, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ensure_goes_on(last: Checkpoint, wanted: Checkpoint, prove: Prove) -> None:
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
            path.hardlink_to(beside)
        else:
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
