"""`orderledger audit archive` and `verify-archive`: sealed ranges in Parquet files, and their audit without a database."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orderledger.audit.opening import audit_settings
from orderledger.audit.printing import progress_bar
from orderledger.audit.proofs import verifier_keys
from orderledger.audit.verify import EXIT_CODES, document, kept_checkpoint, sentence

if TYPE_CHECKING:
    from ledger.archive.archiving import Archived

SEGMENT_EVENTS = 1 << 20
SEGMENT_EVENTS_MIN = 16


@click.command("archive")
@click.argument("folder", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--segment",
    "segment_events",
    metavar="EVENTS",
    type=click.IntRange(SEGMENT_EVENTS_MIN),
    default=SEGMENT_EVENTS,
    show_default=True,
    help="Events of one file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_archive(folder: Path, segment_events: int, as_json: bool) -> None:  # noqa: FBT001
    """Write what is sealed into FOLDER, a Parquet file for each so many events, each of which is verified alone.

    What is there stays; run it again, now and then, and it goes on. Nothing is removed from the log. Needs pyarrow.
    """
    from ledger.archive.archiving import archive

    with progress_bar("archiving", shown=sys.stderr.isatty()) as progress:
        archived = archive(audit_settings(), folder, segment_events=segment_events, progress=progress)
    click.echo(json.dumps(_document(archived)) if as_json else _sentence(archived, folder))


@click.command("verify-archive")
@click.argument(
    "paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(exists=True, readable=True, path_type=Path)
)
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    required=True,
    help="Verifier key, or a file with keys: any may sign.",
)
@click.option(
    "--checkpoint",
    "files",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that you kept: the archive must go on from it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_verify_archive(
    paths: Sequence[Path],
    keys: Sequence[str],
    files: Sequence[Path],
    as_json: bool,  # noqa: FBT001
) -> None:
    """Verify files of an archive, or all in a folder, without a database.

    Exit code 1 with the first bad position, 2 when nobody can tell. From position 1 on, every rule of the ledger is checked; of
    files that begin later, or behind one that is missing, all but what needs earlier events. It says which positions there are.
    """
    from ledger.archive.segments import ranges_of, segments_of
    from ledger.archive.verifying import verify_segments

    verifiers = verifier_keys(keys)
    kept = [kept_checkpoint(file, verifiers) for file in files]
    segments = segments_of(paths)
    with progress_bar("verifying", shown=sys.stderr.isatty()) as progress:
        report = verify_segments(segments, verifiers, kept=kept, progress=progress)
    ranges = ranges_of(segments)
    gaps = [(before[1] + 1, after[0] - 1) for before, after in pairwise(ranges)]
    if as_json:
        click.echo(json.dumps({**document(report), "ranges": ranges, "gaps": gaps}))
    else:
        missing = f"; missing between them: {_listed(gaps)}" if gaps else ""
        click.echo(f"{sentence(report)}; of positions {_listed(ranges)}{missing}")
    sys.exit(EXIT_CODES[report.status])


def _listed(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{first} to {last}" for first, last in ranges)


def _document(archived: Archived) -> dict[str, object]:
    return {"written": [str(path) for path in archived.written], "last": archived.last, "sealed": archived.sealed}


def _sentence(archived: Archived, folder: Path) -> str:
    files = f"{len(archived.written)} new files" if len(archived.written) != 1 else "1 new file"
    return f"{files}; {folder} holds positions 1 to {archived.last}, the log is sealed to {archived.sealed}"
