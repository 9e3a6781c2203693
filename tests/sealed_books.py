"""A log that is sealed, its exports, and the auditor who gets them and has nothing else of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.exporting.export import Place, export_to_file
from ledger.proofs.notes import SigningKey
from ledger.proofs.sealing import Sealed, seal
from ledger.proofs.signer import Signer, read_keys, write_key
from ledger.settings import LedgerSettings
from root import live
from submissions import Desk

NAME = "example.org/ledger"


@dataclass
class Books:
    """A log with every kind of event, sealed twice with more to come; its signer, and a folder for exports."""

    desk: Desk
    url: str
    folder: Path
    sealed: list[Sealed] = field(default_factory=list)

    def __post_init__(self) -> None:
        write_key(self.folder / "key", SigningKey.make(NAME))
        for _ in range(2):
            live(self.desk)
            self.seal()
        live(self.desk)

    @property
    def settings(self) -> LedgerSettings:
        return LedgerSettings(database_url=self.url)

    @property
    def key(self) -> str:
        """The verifier key."""
        return str(read_keys(self.folder / "key")[0].verifier)

    def seal(self) -> Sealed:
        sealed = seal(self.desk.engine, Signer(self.folder / "key"))
        assert sealed is not None
        self.sealed.append(sealed)
        return sealed

    def export(self, name: str, first: int | None = None, last: int | None = None, **more: Any) -> Path:
        """Export a range into a file of this name, whose ending is the format."""
        path = self.folder / name
        export_to_file(
            self.settings,
            path,
            format=path.suffix.removeprefix("."),
            first=None if first is None else Place(position=first),
            last=None if last is None else Place(position=last),
            **more,
        )
        return path

    def rows(self) -> list[dict[str, Any]]:
        """Return the events as they are stored."""
        return [dict(row) for row in self.desk.rows("SELECT * FROM events ORDER BY position")]


@dataclass(frozen=True)
class Verdict:
    """What the program that verifies an export said."""

    code: int
    words: str


@dataclass(frozen=True)
class Auditor:
    """Runs that program in a folder of its own, where Python finds the standard library and cryptography only."""

    folder: Path

    def __post_init__(self) -> None:
        import _cffi_backend
        import cffi
        import cryptography

        printed = subprocess.run(
            [sys.executable, "-m", "orderledger", "audit", "verifier"], capture_output=True, check=True, timeout=60
        )
        (self.folder / "verify_export.py").write_bytes(printed.stdout)
        packages = self.folder / "packages"
        packages.mkdir()
        for module in (cryptography, cffi):
            package = Path(str(module.__file__)).parent
            (packages / package.name).symlink_to(package)
        backend = Path(str(_cffi_backend.__file__))
        (packages / backend.name).symlink_to(backend)

    def run(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python code: isolated from this folder and environment, and without any installed packages but these."""
        begin = f"import sys; sys.path.append({str(self.folder / 'packages')!r})\n"
        command = [sys.executable, "-I", "-S", "-c", begin + code, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def verify(self, export: Path, *arguments: str) -> Verdict:
        """Verify an export."""
        run = self.run("import runpy; runpy.run_path('verify_export.py', run_name='__main__')", str(export), *arguments)
        assert run.stderr == "", run.stderr
        return Verdict(run.returncode, run.stdout.strip())


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the objects of an export."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write objects as an export has them."""
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    path.write_text(text, "utf-8")
    return path
