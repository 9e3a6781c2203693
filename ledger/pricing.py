"""What an order costs: unit price with quantity tiers, the level's percentage, one rounding.

Prices are exact decimals with up to six decimals of the major unit; a percentage is what is paid, with up to two
decimals (90 means one pays 90 %). Amount = unit price × quantity × percentage / 100, rounded half up once, to the
minor unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import BadMoney
from ledger.money import Currency, format_decimal, parse_decimal

UNIT_PRICE_DECIMALS = 6
PERCENT_DECIMALS = 2
QUANTITY_MAX = 10**9
FULL_PERCENT = "100"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """From this quantity on, the whole order is charged at this unit price (a decimal string)."""

    from_quantity: int
    unit_price: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an order costs before and after the discount, in minor units, and the unit price that was used."""

    unit_price: str
    list_amount_minor: int
    amount_minor: int


def canonical_unit_price(text: str, unit: Currency) -> str:
    """Return the price in its one stored form, at least the currency's decimals. Raises BadMoney; zero is refused."""
    return format_decimal(parse_unit_price(text), decimals=UNIT_PRICE_DECIMALS, decimals_min=unit.exponent)


def parse_unit_price(text: str) -> int:
    """Return the price in millionths of the major unit. Raises BadMoney; zero is refused."""
    scaled = parse_decimal(text, integer_digits_max=12, decimals_max=UNIT_PRICE_DECIMALS)
    if scaled == 0:
        raise BadMoney(problem="the unit price must be more than zero")
    return scaled


def canonical_percent(text: str) -> str:
    """Return the percentage in its one stored form; 0 < percentage ≤ 100. Raises BadMoney."""
    scaled = parse_decimal(text, integer_digits_max=3, decimals_max=PERCENT_DECIMALS)
    if not 0 < scaled <= 100 * 10**PERCENT_DECIMALS:
        raise BadMoney(problem="the percentage must be more than 0 and at most 100")
    return format_decimal(scaled, decimals=PERCENT_DECIMALS)


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return the quotient of two non-negative integers, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


def unit_price_at(unit_price: str, tiers: Sequence[Tier], quantity: int) -> str:
    """Return the unit price of the highest tier that the quantity reaches."""
    reached = [tier for tier in tiers if tier.from_quantity <= quantity]
    return max(reached, key=lambda tier: tier.from_quantity).unit_price if reached else unit_price


def price(unit_price: str, tiers: Sequence[Tier], quantity: int, discount_percent: str, unit: Currency) -> Price:
    """Price an order. `discount_percent` is what is paid; the amount may come out as zero, which the caller refuses."""
    chosen = unit_price_at(unit_price, tiers, quantity)
    scaled = parse_decimal(chosen, integer_digits_max=12, decimals_max=UNIT_PRICE_DECIMALS)
    percent = parse_decimal(discount_percent, integer_digits_max=3, decimals_max=PERCENT_DECIMALS)
    minor, scale = scaled * quantity * 10**unit.exponent, 10**UNIT_PRICE_DECIMALS
    full = 100 * 10**PERCENT_DECIMALS
    return Price(
        unit_price=chosen,
        list_amount_minor=divide_half_up(minor, scale),
        amount_minor=divide_half_up(minor * percent, scale * full),
    )


def partial_capture(amount_minor: int, delivered: int, quantity: int) -> int:
    """Return what a partial delivery costs: amount × delivered / quantity, rounded half up."""
    return divide_half_up(amount_minor * delivered, quantity)
