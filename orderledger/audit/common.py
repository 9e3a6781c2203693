"""What the commands of an audit have in common: settings, the words of a place, a time and an amount, tables, a progress
bar.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ledger.settings import LedgerSettings

_WIDTH_MAX = 10_000
TYPED = ("id", "customer_id", "order_id", "product")
"""Columns of CSV that may hold what somebody typed."""


def audit_settings() -> LedgerSettings:
    """Return the settings of the ledger that the environment names."""
    from ledger.settings import LedgerSettings, read_settings

    return read_settings(LedgerSettings, environment())


def environment() -> dict[str, str]:
    """Return the environment with the embedded default filled in."""
    from orderledger.surroundings import complete

    return complete(os.environ)


@contextmanager
def audit_engine(*, writing: bool = False) -> Iterator[sa.Engine]:
    """Open the first read replica, or the log itself when there is none or something is to be written."""
    from ledger.audit.verification import audit_url
    from ledger.database import database_url, open_engine

    settings = audit_settings()
    engine = open_engine(database_url(settings) if writing else audit_url(settings), settings)
    try:
        yield engine
    finally:
        engine.dispose()


def microseconds(text: str) -> int:
    """Return an option's time. Raises click.UsageError."""
    from ledger.clock import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise click.UsageError(f"{text} is not a time such as 2026-11-22T10:00:00Z: {error}") from None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log as an option names it: by its position, or (`time_us` not None) by time."""

    position: int = 0
    time_us: int | None = None


class _PlaceType(click.ParamType[Place]):
    name = "position or time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Return the place of a text. Raises click.UsageError."""
        if isinstance(value, Place):
            return value
        if value.isascii() and value.isdigit():
            return Place(position=int(value))
        return Place(time_us=microseconds(value))


PLACE = _PlaceType()
"""The type of an option that takes a position, or a time such as 2026-11-22T10:00:00Z."""


def first_position(settings: LedgerSettings, place: Place) -> int:
    """Return the first position at or after a place."""
    from ledger.audit.replaying import position_at_time

    return max(1, place.position) if place.time_us is None else position_at_time(settings, place.time_us - 1) + 1


def last_position(settings: LedgerSettings, place: Place) -> int:
    """Return the last position at or before a place; 0 when there is none."""
    from ledger.audit.replaying import position_at_time

    return place.position if place.time_us is None else position_at_time(settings, place.time_us)


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
