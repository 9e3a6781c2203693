"""`orderledger audit verify`: did the log obey its rules, from its stored bytes."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

import click

from orderledger.audit.common import audit_settings, progress_bar

if TYPE_CHECKING:
    from ledger.audit.findings import Report

EXIT_CODES = {"clean": 0, "tampered": 1, "cannot tell": 2}


@click.command("verify")
@click.option("--workers", metavar="N", type=click.IntRange(1, 256), help="Processes. [default: one a processor]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_verify(workers: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Verify every event and the tables beside the log; exit code 1 with the first bad position, 2 when nobody can tell.

    Reads the first of ORDERLEDGER_REPLICA_URLS, else the log itself. Nothing is written; the service may run meanwhile.
    """
    from ledger.audit.verification import verify

    settings = audit_settings()
    with progress_bar("verifying", shown=sys.stderr.isatty()) as progress:
        report = verify(settings, processes=workers, progress=progress)
    click.echo(json.dumps(dataclasses.asdict(report)) if as_json else _sentence(report))
    sys.exit(EXIT_CODES[report.status])


def _sentence(report: Report) -> str:
    if report.status == "clean":
        return f"clean: {report.events} events in {report.seconds:.1f} s; checked {', '.join(report.checked)}"
    if report.status == "tampered":
        return f"tampered: position {report.first_bad_position}: {report.finding}"
    return f"cannot tell: {report.finding}"
