"""`orderledger audit replay`: balances and orders as of a position or a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from orderledger.audit.common import amount, audit_settings, microseconds

if TYPE_CHECKING:
    from ledger.audit.replaying import Replayed


@click.command("replay")
@click.option("--to", "position", metavar="POSITION", type=click.IntRange(0), help="As of this position.")
@click.option("--at", metavar="TIME", help="As of this time (RFC 3339, such as 2026-11-22T10:00:00Z).")
@click.option("--customer", "customer_id", metavar="ID", help="This customer only, with each order.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_replay(position: int | None, at: str | None, customer_id: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show balances and orders as of then, from the log alone."""
    if position is not None and at is not None:
        raise click.UsageError("name --to or --at, not both")
    from ledger.audit.replaying import position_at_time, replay

    settings = audit_settings()
    if at is not None:
        position = position_at_time(settings, microseconds(at))
    replayed = replay(settings, position=position, customer_id=customer_id)
    if as_json:
        click.echo(json.dumps(_document(replayed)))
    else:
        _print(replayed)


def _document(replayed: Replayed) -> Mapping[str, Any]:
    from ledger.clock import rfc3339

    accounts = [
        {
            "customer_id": each.account_id,
            "status": each.status,
            "available": amount(each.available_minor, each.currency),
            "held": amount(each.held_minor, each.currency),
            "total": amount(each.available_minor + each.held_minor, each.currency),
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
            "amount": amount(each.amount_minor, each.currency),
            "captured": amount(each.captured_minor, each.currency),
            "released": amount(each.released_minor, each.currency),
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
