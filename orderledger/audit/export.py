"""`orderledger audit export`: the log for outsiders."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orderledger.audit.opening import audit_settings
from orderledger.audit.places import microseconds
from orderledger.audit.printing import progress_bar

if TYPE_CHECKING:
    from ledger.exporting.export import Exported, Place

FORMATS = ("jsonl", "csv", "parquet", "beancount")
WITHOUT_TEXT = "parquet"


@click.command("export")
@click.option("--from", "first", metavar="P", help="First position, or time (RFC 3339). [default: 1]")
@click.option("--to", "last", metavar="P", help="Last position, or time. [default: the end of the log]")
@click.option("--format", type=click.Choice(FORMATS), default=FORMATS[0], show_default=True, help="Of the export.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A new file. [default: standard output]"
)
@click.option("--resume", is_flag=True, help="Go on with FILE.part, which an interrupted export left (jsonl).")
@click.option("--json", "as_json", is_flag=True, help="Print what FILE holds as JSON.")
def audit_export(
    first: str | None,
    last: str | None,
    format: str,
    output: Path | None,
    resume: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Export events as jsonl (which can be verified alone), csv, parquet or beancount; see docs/exports.md.

    Reads the first replica of ORDERLEDGER_REPLICA_URLS that is fit, else the primary. No erasable text is exported.
    """
    if output is None and (format == WITHOUT_TEXT or resume or as_json):
        option = f"--format {format}" if format == WITHOUT_TEXT else "--resume" if resume else "--json"
        raise click.UsageError(f"{option} needs --output FILE")
    from ledger.exporting.export import export, export_to_file

    settings, start, end = audit_settings(), _place(first), _place(last)
    with progress_bar("exporting", shown=sys.stderr.isatty()) as progress:
        if output is None:
            export(settings, sys.stdout.buffer, format=format, first=start, last=end, progress=progress)
            sys.stdout.buffer.flush()
            return
        exported = export_to_file(
            settings, output, format=format, first=start, last=end, resume=resume, progress=progress
        )
    click.echo(json.dumps(_document(exported, output)) if as_json else _sentence(exported, output), err=not as_json)


def _place(text: str | None) -> Place | None:
    from ledger.exporting.export import Place

    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,15}", text):
        return Place(position=int(text))
    return Place(time_us=microseconds(text))


def _document(exported: Exported, output: Path) -> dict[str, str | int]:
    return {
        "file": str(output),
        "from": exported.first,
        "to": exported.last,
        "head": exported.head,
        "events": exported.events,
        "root": exported.root,
    }


def _sentence(exported: Exported, output: Path) -> str:
    return f"{output} has positions {exported.first} to {exported.last} of {exported.head}"
