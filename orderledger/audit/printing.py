"""Amounts, tables, CSV and a progress bar, as the commands of an audit print them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    pass


_WIDTH_MAX = 10_000
TYPED = ("id", "customer_id", "order_id", "product")
"""Columns of CSV that may hold what somebody typed."""


def amount(amount_minor: int, code: str) -> str:
    """Return an amount in the currency's own digits."""
    from ledger.money import currency, format_amount

    return format_amount(amount_minor, currency(code))


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows as CSV, with ids and skus as text whatever they look like."""
    from ledger.csv_lines import csv_lines

    for line in csv_lines(columns, rows, typed=TYPED, byte_order_mark=False):
        click.echo(line, nl=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table as wide as it must be: an id that is cut could not be copied, an amount would mislead."""
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    console = Console()
    console.width = max(console.width, Console(width=_WIDTH_MAX).measure(table).maximum)
    console.print(table)


@contextmanager
def progress_bar(label: str, *, shown: bool) -> Iterator[Any]:
    """Yield what to tell how many events of how many are done."""
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
        TextColumn(label),
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
