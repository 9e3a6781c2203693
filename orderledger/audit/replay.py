"""`orderledger audit replay`: balances and orders as of a position or a time, or what changed between two."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orderledger.audit.opening import audit_settings
from orderledger.audit.places import PLACE, Place, last_position, microseconds
from orderledger.audit.printing import amount, print_csv, print_table, progress_bar
from orderledger.audit.replay_diff import DIFF_COLUMNS, diff_document, diff_rows, print_diff

if TYPE_CHECKING:
    from ledger.audit.replaying import Replayed
    from ledger.settings import LedgerSettings

COLUMNS = (
    "record", "customer_id", "order_id", "status", "product", "quantity", "amount", "captured", "released", "available",
    "held", "total", "currency", "version", "position",
)  # fmt: skip
"""Of CSV: a record is an account or an order; what does not concern it is empty."""


@click.command("replay")
@click.option("--to", "position", metavar="POSITION", type=click.IntRange(0), help="As of this position.")
@click.option("--at", metavar="TIME", help="As of this time (RFC 3339, such as 2026-11-22T10:00:00Z).")
@click.option("--diff", nargs=2, metavar="A B", type=PLACE, help="What changed from one position or time to another.")
@click.option("--customer", "customer_id", metavar="ID", help="This customer only, with each order.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def audit_replay(
    position: int | None,
    at: str | None,
    diff: tuple[Place, Place] | None,
    customer_id: str | None,
    as_json: bool,  # noqa: FBT001
    as_csv: bool,  # noqa: FBT001
) -> None:
    """Show balances and orders as of then, or what changed meanwhile, from the log alone."""
    if sum(each is not None for each in (position, at, diff)) > 1:
        raise click.UsageError("name one of --to, --at and --diff")
    if as_json and as_csv:
        raise click.UsageError("name --json or --csv, not both")
    settings = audit_settings()
    if diff is not None:
        _diff(settings, diff, customer_id, as_json=as_json, as_csv=as_csv)
        return
    from ledger.audit.replaying import position_at_time, replay

    if at is not None:
        position = position_at_time(settings, microseconds(at))
    with progress_bar("replaying", shown=sys.stderr.isatty()) as progress:
        replayed = replay(settings, position=position, customer_id=customer_id, progress=progress)
    document = _document(replayed)
    if as_json:
        click.echo(json.dumps(document))
    elif as_csv:
        print_csv(COLUMNS, _rows(document))
    else:
        _print(document)


def _diff(
    settings: LedgerSettings,
    places: tuple[Place, Place],
    customer_id: str | None,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    from ledger.audit.changes import changes

    first, last = (last_position(settings, each) for each in places)
    if first > last:
        raise click.UsageError(f"--diff goes on from position {first} to {last}; name the earlier one first")
    with progress_bar("replaying", shown=sys.stderr.isatty()) as progress:
        document = diff_document(changes(settings, first, last, customer_id=customer_id, progress=progress))
    if as_json:
        click.echo(json.dumps(document))
    elif as_csv:
        print_csv(DIFF_COLUMNS, diff_rows(document))
    else:
        print_diff(document)


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
    return {
        "position": replayed.position,
        "recorded_at": at,
        "accounts": accounts,
        "order_statuses": dict(replayed.order_statuses),
        "orders": orders,
    }


def _rows(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for account in document["accounts"]:
        yield {"record": "account", **account}
    for order in document["orders"]:
        yield {"record": "order", **order, "order_id": order["id"]}


def _print(document: Mapping[str, Any]) -> None:
    click.echo(f"as of position {document['position']}, recorded {document['recorded_at'] or 'never'}")
    print_table(
        "accounts",
        ("customer_id", "status", "available", "held", "total", "currency", "version"),
        document["accounts"],
    )
    print_table(
        "orders",
        ("id", "status", "product", "quantity", "amount", "captured", "released", "currency"),
        document["orders"],
    )
    if document["order_statuses"]:
        click.echo("orders: " + ", ".join(f"{count} {name}" for name, count in document["order_statuses"].items()))
