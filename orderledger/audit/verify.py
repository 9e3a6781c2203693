"""`orderledger audit verify`: did the log obey its rules, from its stored bytes."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orderledger.audit.opening import audit_engine, audit_settings, environment
from orderledger.audit.printing import progress_bar
from orderledger.audit.proofs import verifier_keys

if TYPE_CHECKING:
    from ledger.audit.findings import Report
    from ledger.proofs.checking import Kept
    from ledger.proofs.notes import VerifierKey

EXIT_CODES = {"clean": 0, "tampered": 1, "cannot tell": 2}


@click.command("verify")
@click.option(
    "--checkpoint",
    "files",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that you kept: the log must go on from it.",
)
@click.option(
    "--since",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint whose events were verified before: verify only what came after.",
)
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    help="Verifier key, or a file with keys, that the newest checkpoint must be signed by. "
    "[default: that of the signing key file, where the log is]",
)
@click.option("--read-models", is_flag=True, help="Compare the read models with a replay too, each at its position.")
@click.option("--record", is_flag=True, help="Write the outcome into the database, where the console shows it.")
@click.option("--workers", metavar="N", type=click.IntRange(1, 256), help="Processes. [default: one a processor]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_verify(
    files: Sequence[Path],
    since: Path | None,
    keys: Sequence[str],
    read_models: bool,  # noqa: FBT001
    record: bool,  # noqa: FBT001
    workers: int | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Verify every event, the tables beside the log and its checkpoints.

    Exit code 1 with the first bad position, 2 when nobody can tell.

    Reads the first replica of ORDERLEDGER_REPLICA_URLS that is fit, else the primary, and says which. Nothing is written but
    what --record says; the service may run meanwhile.
    """
    from ledger.audit.verification import verify

    settings = audit_settings()
    verifiers, kept = _trusted(files, keys)
    begin = None if since is None else kept_checkpoint(since, verifiers)
    with progress_bar("verifying", shown=sys.stderr.isatty()) as progress:
        report = verify(settings, processes=workers, keys=verifiers, kept=kept, since=begin, progress=progress)
    if read_models and report.status == "clean":
        report = _with_read_models(report)
    click.echo(json.dumps(document(report)) if as_json else sentence(report))
    if record:
        _record(report)
    sys.exit(EXIT_CODES[report.status])


def _record(report: Report) -> None:
    """Write the outcome down, or say that it could not be: the verdict stays what it is."""
    from ledger.audit import recording

    try:
        with audit_engine(writing=True) as engine:
            recording.record(engine, report)
    except Exception as error:  # noqa: BLE001 - The edge of the process, whose exit code is the verdict's.
        problem = str(error).partition("\n")[0]
        click.echo(f"orderledger: the outcome was not recorded: {problem}", err=True)


def _with_read_models(report: Report) -> Report:
    """Return the report with what the read models come to beside a replay."""
    from ledger.audit.findings import CANNOT_TELL, TAMPERED
    from ledger.errors import LedgerError
    from orderledger.read_models import diff
    from projections.catalogue import FOLDS

    for name in FOLDS:
        try:
            found = diff(environment(), name)
        except LedgerError as error:
            return dataclasses.replace(report, status=CANNOT_TELL, finding=f"the read model {name}: {error}")
        if found["differences"]:
            words = f"the read model {name} differs from a replay to here; see `orderledger projections diff {name}`"
            return dataclasses.replace(report, status=TAMPERED, first_bad_position=found["position"], finding=words)
    return dataclasses.replace(report, checked=(*report.checked, "read models equal to a replay"))


def _trusted(files: Sequence[Path], given: Sequence[str]) -> tuple[list[VerifierKey], list[Kept]]:
    """Return whose signatures count and which checkpoints the log must go on from. Raises BadNote, BadSetting."""
    from ledger.proofs.checking import Kept
    from ledger.proofs.signer import read_keys, remembered

    keys, kept = verifier_keys(given), []
    signing_key_file = _own_key_file()
    if signing_key_file is not None:
        last = remembered(signing_key_file)
        if last is not None:
            keys = keys or [key.verifier for key in read_keys(signing_key_file)]
            kept = [Kept(last, "what was signed last")]
    return keys, [*kept, *(kept_checkpoint(file, keys) for file in files)]


def kept_checkpoint(file: Path, keys: Sequence[VerifierKey]) -> Kept:
    """Return the checkpoint in a file. Raises BadNote."""
    from ledger.proofs.checking import Kept
    from ledger.proofs.notes import BadNote, Checkpoint, opened, unopened

    try:
        note = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadNote(problem=f"{file} cannot be read: {type(error).__name__}") from None
    return Kept(Checkpoint.parse(opened(note, keys) if keys else unopened(note)), f"the checkpoint in {file.name}")


def _own_key_file() -> Path | None:
    """Return the file of the key that signs this log, where it is known to be of this log and no other."""
    from orderledger.surroundings import SIGNING_KEY, has_own_signing_key

    if not os.environ.get(SIGNING_KEY) and not has_own_signing_key(os.environ):
        return None
    path = Path(environment()[SIGNING_KEY])
    return path if path.exists() else None


def document(report: Report) -> dict[str, Any]:
    """Return a report as JSON has it; `server` where there was a choice of servers."""
    from ledger.replicas.sources import PRIMARY

    values = dataclasses.asdict(report)
    return {name: value for name, value in values.items() if name != "server" or value not in ("", PRIMARY)}


def sentence(report: Report) -> str:
    """Return a report in words."""
    from ledger.replicas.sources import PRIMARY

    if report.status == "clean":
        words = f"clean: {report.events} events in {report.seconds:.1f} s; checked {', '.join(report.checked)}"
    elif report.status == "tampered":
        words = f"tampered: position {report.first_bad_position}: {report.finding}"
    else:
        words = f"cannot tell: {report.finding}"
    return words if report.server in ("", PRIMARY) else f"{words}; read from {report.server}"
