"""`orderledger audit what-if`: what other percentages or prices would have changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orderledger.audit.opening import audit_settings
from orderledger.audit.places import PLACE, Place, first_position, last_position
from orderledger.audit.printing import print_csv, print_table, progress_bar

if TYPE_CHECKING:
    from ledger.audit.repricing import Repricing
    from ledger.audit.what_if import Found

SHOWN = {
    "customer_id": "customer_id",
    "orders": "orders",
    "captured": "captured",
    "captured_if": "would be",
    "captured_difference": "difference",
    "held_difference": "held difference",
    "short": "short",
}
"""What the table has room for, and how it is headed; JSON and CSV have all."""


@click.command("what-if")
@click.option("--discount", "discounts", metavar="FROM=TO", multiple=True, help="Orders placed at FROM percent, at TO.")
@click.option("--level", "levels", metavar="ID=PERCENT", multiple=True, help="Orders placed while at this level.")
@click.option("--price", "pairs", metavar="PRODUCT=UNIT_PRICE", multiple=True, help="A product at this unit price.")
@click.option(
    "--prices",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A price list: CSV with the header product,unit_price,from_quantity.",
)
@click.option("--from", "first", metavar="PLACE", type=PLACE, help="Only orders placed from this position or time on.")
@click.option("--to", "last", metavar="PLACE", type=PLACE, help="Only orders placed until this position or time.")
@click.option("--customer", "customer_id", metavar="ID", help="This customer only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the customers as CSV.")
def audit_what_if(
    discounts: Sequence[str],
    levels: Sequence[str],
    pairs: Sequence[str],
    file: Path | None,
    first: Place | None,
    last: Place | None,
    customer_id: str | None,
    as_json: bool,  # noqa: FBT001
    as_csv: bool,  # noqa: FBT001
) -> None:
    """Show what orders would have cost at other percentages or prices, from the log alone.

    --discount, --level and --price may be named several times; a level's percentage goes before one of --discount.
    Nothing else is taken to be otherwise, and nothing is written.
    """
    if as_json and as_csv:
        raise click.UsageError("name --json or --csv, not both")
    from ledger.audit.replaying import connected
    from ledger.audit.repricing import Repricing
    from ledger.audit.what_if import COLUMNS, what_if
    from ledger.pricing import canonical_percent
    from orderledger.audit.price_list import percents, prices

    if not (discounts or levels or pairs or file):
        raise click.UsageError("say what would be different: --discount, --level, --price or --prices")
    settings = audit_settings()
    begins = 1 if first is None else first_position(settings, first)
    ends = None if last is None else last_position(settings, last)
    if ends is not None and begins > ends:
        raise click.UsageError(f"nothing lies from position {begins} to {ends}; name an earlier --from")
    repricing = Repricing(
        discounts=percents("--discount", discounts, canonical_percent),
        levels=percents("--level", levels, str),
        prices=prices(file, pairs),
        first=begins,
        last=ends,
    )
    with (
        connected(settings, position=max(begins - 1, ends or 0)) as connection,
        progress_bar("replaying", shown=sys.stderr.isatty()) as progress,
    ):
        found = what_if(connection, repricing, customer_id=customer_id, progress=progress)
    document = _document(repricing, found)
    if as_json:
        click.echo(json.dumps(document))
    elif as_csv:
        print_csv(("customer_id", *COLUMNS), document["customers"])
    else:
        _print(document)


def _document(repricing: Repricing, found: Found) -> Mapping[str, Any]:
    from ledger.audit.repricing import sums
    from ledger.audit.what_if import row

    return {
        "from": repricing.first,
        "to": repricing.last if repricing.last is not None else found.position,
        "position": found.position,
        "customers": [{"customer_id": name, **row(effect)} for name, effect in sorted(found.effects.items())],
        "sums": [row(effect) for _, effect in sorted(sums(found.effects.values()).items())],
    }


def _print(document: Mapping[str, Any]) -> None:
    click.echo(
        f"orders placed from position {document['from']} to {document['to']}, "
        f"and what became of them until position {document['position']}"
    )
    if not document["customers"]:
        click.echo("no order would have had another price: check percentages, levels, products and the range")
    rows = [{title: each[name] for name, title in SHOWN.items()} for each in document["customers"]]
    print_table("customers", tuple(SHOWN.values()), rows)
    for each in document["sums"]:
        click.echo("\n".join(_lines(each)))


def _lines(total: Mapping[str, Any]) -> Iterator[str]:
    yield f"{total['currency']}: {total['orders']} orders repriced"
    for name in ("placed", "captured", "held"):
        yield f"  {name}: {total[name]}, would be {total[f'{name}_if']}, difference {total[f'{name}_difference']}"
    if total["refused"]:
        yield f"  {total['refused']} of them would have been refused: they would cost nothing, or too much"
    if total["short_position"] is not None:
        yield f"  money would have lacked for {total['short']} orders, first at position {total['short_position']}"
