"""Percentages and prices as a person gives them: options of the command line, and a price list as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ledger.errors import BadMoney
from ledger.ids import is_token
from ledger.pricing import QUANTITY_MAX, Tier, canonical_percent, parse_unit_price

HEADER = ("product", "unit_price", "from_quantity")
Prices = dict[str, list[Tier]]


def percents(option: str, pairs: Sequence[str], key: Callable[[str], str]) -> dict[str, str]:
    """Return what `KEY=PERCENT` pairs say. Raises click.UsageError."""
    found: dict[str, str] = {}
    for pair in pairs:
        left, right = _split(option, pair)
        try:
            name, percent = key(left), canonical_percent(right)
        except BadMoney as error:
            raise click.UsageError(f"{option} {pair}: {error}") from None
        if name in found:
            raise click.UsageError(f"{option} {pair}: {name} is named twice; name it once")
        found[name] = percent
    return found


def prices(file: Path | None, pairs: Sequence[str]) -> Prices:
    """Return the prices of a file and of `PRODUCT=UNIT_PRICE` pairs. Raises click.UsageError."""
    found: Prices = {} if file is None else _of_file(file)
    for pair in pairs:
        product, unit_price = _split("--price", pair)
        _add(found, f"--price {pair}", product, unit_price, "")
    return found


def _split(option: str, pair: str) -> tuple[str, str]:
    left, sign, right = pair.rpartition("=")
    if not (left and sign and right):
        raise click.UsageError(f"{option} {pair}: write it as NAME=VALUE")
    return left, right


def _of_file(file: Path) -> Prices:
    found: Prices = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened)
            if tuple(next(reader, ())) != HEADER:
                raise click.UsageError(f"{file}: the first line must be {','.join(HEADER)}")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(HEADER):
                    raise click.UsageError(f"{file}, line {reader.line_num}: expected {len(HEADER)} values")
                _add(found, f"{file}, line {reader.line_num}", *cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise click.UsageError(f"{file} is not CSV in UTF-8: {error}") from None
    return found


def _add(found: Prices, where: str, product: str, unit_price: str, from_quantity: str) -> None:
    if not is_token(product):
        raise click.UsageError(f"{where}: {product!r} is not a product's sku")
    if from_quantity and not (from_quantity.isascii() and from_quantity.isdigit()):
        raise click.UsageError(f"{where}: from_quantity is a whole number, or empty for every quantity")
    quantity = int(from_quantity or 1)
    if not 1 <= quantity <= QUANTITY_MAX:
        raise click.UsageError(f"{where}: from_quantity is from 1 to {QUANTITY_MAX}")
    try:
        parse_unit_price(unit_price)
    except BadMoney as error:
        raise click.UsageError(f"{where}: {error}") from None
    tiers = found.setdefault(product, [])
    if any(each.from_quantity == quantity for each in tiers):
        raise click.UsageError(f"{where}: {product} has two prices from {quantity} on; name one")
    tiers.append(Tier(from_quantity=quantity, unit_price=unit_price))
