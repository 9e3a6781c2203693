"""`orderledger audit`: verify the log, and replay it to a position or a time."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ledger.audit.findings import Report
    from ledger.audit.replaying import Replayed
    from ledger.settings import LedgerSettings

EXIT_CODES = {"clean": 0, "tampered": 1, "cannot tell": 2}


@click.group("audit")
def audit_group() -> None:
    """Check the log, and look at what it led to."""


@audit_group.command("verify")
@click.option("--workers", metavar="N", type=click.IntRange(1, 256), help="Processes. [default: one a processor]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_verify(workers: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Verify every event and the tables beside the log; exit code 1 with the first bad position, 2 when nobody can tell.

    Reads the first of ORDERLEDGER_REPLICA_URLS, else the log itself. Nothing is written; the service may run meanwhile.
    """
    from ledger.audit.verification import verify

    settings = _settings()
    with _progress(shown=sys.stderr.isatty()) as progress:
        report = verify(settings, processes=workers, progress=progress)
    click.echo(json.dumps(dataclasses.asdict(report)) if as_json else _sentence(report))
    sys.exit(EXIT_CODES[report.status])


@audit_group.command("replay")
@click.option("--to", "position", metavar="POSITION", type=click.IntRange(0), help="As of this position.")
@click.option("--at", metavar="TIME", help="As of this time (RFC 3339, such as 2026-11-22T10:00:00Z).")
@click.option("--customer", "customer_id", metavar="ID", help="This customer only, with each order.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_replay(position: int | None, at: str | None, customer_id: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show balances and orders as of then, from the log alone."""
    if position is not None and at is not None:
        raise click.UsageError("name --to or --at, not both")
    from ledger.audit.replaying import position_at_time, replay

    settings = _settings()
    if at is not None:
        position = position_at_time(settings, _microseconds(at))
    replayed = replay(settings, position=position, customer_id=customer_id)
    if as_json:
        click.echo(json.dumps(_document(replayed)))
    else:
        _print(replayed)


def _settings() -> LedgerSettings:
    from ledger.settings import LedgerSettings, read_settings
    from orderledger.surroundings import complete

    return read_settings(LedgerSettings, complete(os.environ))


def _sentence(report: Report) -> str:
    if report.status == "clean":
        return f"clean: {report.events} events in {report.seconds:.1f} s; checked {', '.join(report.checked)}"
    if report.status == "tampered":
        return f"tampered: position {report.first_bad_position}: {report.finding}"
    return f"cannot tell: {report.finding}"


@contextmanager
def _progress(*, shown: bool) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("verifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} events/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Refreshed by hand: a thread would be there when the processes are forked.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, disable=not shown) as progress:
        task = progress.add_task("", total=None, rate="")

        def tell(done: int, total: int) -> None:
            elapsed_s = progress.tasks[0].elapsed or 0
            rate = f"{done / elapsed_s:,.0f}" if elapsed_s > 0 else ""
            progress.update(task, completed=done, total=total, rate=rate)
            progress.refresh()

        yield tell


def _microseconds(text: str) -> int:
    from ledger.clock import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise click.UsageError(f"{text} is not a time such as 2026-11-22T10:00:00Z: {error}") from None


def _document(replayed: Replayed) -> Mapping[str, Any]:
    from ledger.clock import rfc3339

    accounts = [
        {
            "customer_id": each.account_id,
            "status": each.status,
            "available": _amount(each.available_minor, each.currency),
            "held": _amount(each.held_minor, each.currency),
            "total": _amount(each.available_minor + each.held_minor, each.currency),
            "currency": each.currency,
            "version": each.version,
            "position": each.position,
        }
        for each in replayed.accounts
    ]
    orders = [
        {
            "id": each.order_id,
            "customer_id": each.account_id,
            "status": each.status,
            "product": each.product,
            "quantity": each.quantity,
            "amount": _amount(each.amount_minor, each.currency),
            "captured": _amount(each.captured_minor, each.currency),
            "released": _amount(each.released_minor, each.currency),
            "currency": each.currency,
            "position": each.position,
        }
        for each in replayed.orders
    ]
    at = None if replayed.recorded_at_us is None else rfc3339(replayed.recorded_at_us)
    statuses = dict(replayed.order_statuses)
    return {
        "position": replayed.position,
        "recorded_at": at,
        "accounts": accounts,
        "order_statuses": statuses,
        "orders": orders,
    }


def _amount(amount_minor: int, code: str) -> str:
    from ledger.money import currency, format_amount

    return format_amount(amount_minor, currency(code))


def _print(replayed: Replayed) -> None:
    from rich.console import Console
    from rich.table import Table

    document, console = _document(replayed), Console()
    console.print(f"as of position {document['position']}, recorded {document['recorded_at'] or 'never'}")
    for title, columns in (
        ("accounts", ("customer_id", "status", "available", "held", "total", "currency", "version")),
        ("orders", ("id", "status", "product", "quantity", "amount", "captured", "released", "currency")),
    ):
        if document[title]:
            table = Table(title=title)
            for column in columns:
                # An id that is cut could not be copied.
                table.add_column(column, no_wrap=column.endswith("id"))
            for each in document[title]:
                table.add_row(*(str(each[column]) for column in columns))
            console.print(table)
    if document["order_statuses"]:
        console.print("orders: " + ", ".join(f"{count} {name}" for name, count in document["order_statuses"].items()))
