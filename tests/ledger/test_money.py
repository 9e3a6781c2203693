"""Money is parsed exactly or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import BadMoney
from ledger.money import (
    AMOUNT_MINOR_MAX,
    Currency,
    currency,
    format_amount,
    format_decimal,
    parse_amount,
    parse_decimal,
)

CNY, JPY, KWD = currency("CNY"), currency("JPY"), currency("KWD")
UNITS = st.sampled_from([CNY, JPY, KWD])


@pytest.mark.parametrize(
    ("text", "unit", "minor"),
    [
        ("100.00", CNY, 10_000),
        ("0.1", CNY, 10),
        ("7", CNY, 700),
        ("1000", JPY, 1_000),
        ("0.005", KWD, 5),
        ("12.5", KWD, 12_500),
    ],
)
def test_a_plain_decimal_is_taken_to_the_minor_unit(text: str, unit: Currency, minor: int) -> None:
    assert parse_amount(text, unit) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1.",
        ".5",
        "01",
        "-1",
        "+1",
        "1e3",
        "1E3",
        "1,000",
        "1_000",
        "0.001",
        "1.000",
        "１００",
        "٣",
        "1 ",
        " 1",
        "1\n",
        "NaN",
        "Infinity",
        "0x10",
        "1.0.0",
        "9" * 16,
        "9" * 400,
        "0",
        "0.00",
        "¥1",
        "1\u200b",
        "½",
        "1\x00",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadMoney):
        parse_amount(text, CNY)


def test_decimals_of_a_currency_without_any_are_refused() -> None:
    with pytest.raises(BadMoney):
        parse_amount("1.0", JPY)


def test_the_largest_amount_is_accepted_and_one_more_digit_refused() -> None:
    assert parse_amount("9" * 13 + ".99", CNY) == AMOUNT_MINOR_MAX

    with pytest.raises(BadMoney):
        parse_amount("1" + "0" * 13 + ".00", CNY)


def test_an_unknown_currency_is_refused() -> None:
    for code in ("XXX", "cny", "", "CNYY"):
        with pytest.raises(BadMoney):
            currency(code)


@given(minor=st.integers(1, AMOUNT_MINOR_MAX), unit=UNITS)
def test_formatting_then_parsing_gives_the_same_amount(minor: int, unit: Currency) -> None:
    assert parse_amount(format_amount(minor, unit), unit) == minor


@given(minor=st.integers(-(10**18), 10**18), unit=UNITS)
def test_a_formatted_amount_is_the_exact_decimal(minor: int, unit: Currency) -> None:
    assert Decimal(format_amount(minor, unit)) == Decimal(minor).scaleb(-unit.exponent)


@given(text=st.text(max_size=24))
def test_every_text_is_either_exact_or_refused(text: str) -> None:
    try:
        minor = parse_amount(text, CNY)
    except BadMoney:
        return

    assert text.isascii()
    assert Decimal(text) == Decimal(minor).scaleb(-2)


@given(scaled=st.integers(0, 10**12))
def test_a_decimal_keeps_its_value_when_trailing_zeros_go(scaled: int) -> None:
    assert parse_decimal(format_decimal(scaled, decimals=6), integer_digits_max=12, decimals_max=6) == scaled
