"""What the commands of an audit have in common: settings, the words of a time and an amount, a progress bar."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ledger.settings import LedgerSettings


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


def amount(amount_minor: int, code: str) -> str:
    """Return an amount in the currency's own digits."""
    from ledger.money import currency, format_amount

    return format_amount(amount_minor, currency(code))


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
