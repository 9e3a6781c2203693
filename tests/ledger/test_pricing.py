"""Prices: tiers, the level's percentage, one rounding half up."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadMoney
from ledger.money import currency, format_decimal
from ledger.pricing import Tier, canonical_percent, canonical_unit_price, partial_capture, price, unit_price_at

CNY = currency("CNY")


def test_a_hundred_at_ten_cents_and_ninety_percent_costs_nine() -> None:
    cost = price("0.10", (), 100, "90", CNY)

    assert (cost.list_amount_minor, cost.amount_minor) == (1_000, 900)


def test_rounding_happens_once_and_half_up() -> None:
    assert price("0.005", (), 1, "100", CNY).amount_minor == 1
    # 0.045 × 90 % is 0.0405: rounding the list amount to 0.05 first would give 0.05 (from 0.045) instead of 0.04.
    assert price("0.045", (), 1, "90", CNY).amount_minor == 4


def test_the_highest_tier_reached_prices_the_whole_order() -> None:
    tiers = (Tier(from_quantity=1_000, unit_price="0.08"), Tier(from_quantity=100, unit_price="0.09"))

    assert [unit_price_at("0.10", tiers, quantity) for quantity in (99, 100, 999, 1_000)] == [
        "0.10",
        "0.09",
        "0.09",
        "0.08",
    ]


@given(
    micro=st.integers(1, 10**9),
    quantity=st.integers(1, 10**6),
    percent=st.integers(1, 10_000),
    unit=st.sampled_from([CNY, currency("JPY"), currency("KWD")]),
)
def test_the_amount_is_the_exact_product_rounded_half_up(micro: int, quantity: int, percent: int, unit: object) -> None:
    unit_price, paid = format_decimal(micro, decimals=6), format_decimal(percent, decimals=2)

    cost = price(unit_price, (), quantity, paid, unit)  # type: ignore[arg-type]

    exact = Decimal(unit_price) * quantity * Decimal(paid) / 100
    assert Decimal(cost.amount_minor).scaleb(-unit.exponent) == exact.quantize(  # type: ignore[attr-defined]
        Decimal(1).scaleb(-unit.exponent),  # type: ignore[attr-defined]
        ROUND_HALF_UP,
    )
    assert cost.amount_minor <= cost.list_amount_minor


@given(amount=st.integers(1, 10**15), quantity=st.integers(1, 10**9), data=st.data())
def test_a_partial_capture_is_within_the_hold_and_whole_at_the_ends(
    amount: int, quantity: int, data: st.DataObject
) -> None:
    delivered = data.draw(st.integers(0, quantity))

    assert 0 <= partial_capture(amount, delivered, quantity) <= amount
    assert partial_capture(amount, 0, quantity) == 0
    assert partial_capture(amount, quantity, quantity) == amount


@pytest.mark.parametrize(
    ("text", "stored"), [("90", "90"), ("90.0", "90"), ("85.50", "85.5"), ("100", "100"), ("0.01", "0.01")]
)
def test_a_percentage_has_one_stored_form(text: str, stored: str) -> None:
    assert canonical_percent(text) == stored


@pytest.mark.parametrize("text", ["0", "0.00", "100.01", "101", "-1", "90.123", "9O", "９０", ""])
def test_a_percentage_outside_its_range_is_refused(text: str) -> None:
    with pytest.raises(BadMoney):
        canonical_percent(text)


def test_a_unit_price_keeps_the_currencys_decimals_and_up_to_six() -> None:
    assert [canonical_unit_price(text, CNY) for text in ("0.1", "1", "0.123456", "0.100000")] == [
        "0.10",
        "1.00",
        "0.123456",
        "0.10",
    ]

    for text in ("0", "0.0000001", "-0.1", "1e-2"):
        with pytest.raises(BadMoney):
            canonical_unit_price(text, CNY)
