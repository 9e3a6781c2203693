"""Money and other exact decimals: parsed from text and formatted to text, integers in between.

Nothing here rounds. A text is accepted only in one plain form (ASCII digits, at most one point, no sign, no
exponent, no separators, no leading zeros), so that what is stored is what was sent. Source of the exponents: ISO
4217 list one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ledger.errors import BadMoney

AMOUNT_MINOR_MAX = 10**15 - 1
"""Largest single amount, in minor units."""
BALANCE_MINOR_MAX = 2**53 - 1
"""Largest balance, in minor units: what every JSON reader keeps exactly (RFC 8785)."""

_EXPONENTS: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS "
    "KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
    "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD "
    "TZS UAH USD USN UYU UZS VED VES WST XCD YER ZAR ZMW ZWG",
}


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: `exponent` is its number of decimals."""

    code: str
    exponent: int


_CURRENCIES = {code: Currency(code, exponent) for exponent, codes in _EXPONENTS.items() for code in codes.split()}


def currency(code: str) -> Currency:
    """Return the currency of an ISO 4217 code. Raises BadMoney when there is none."""
    try:
        return _CURRENCIES[code]
    except KeyError:
        raise BadMoney(problem=f"{code[:8]!r} is not an ISO 4217 currency code such as CNY") from None


def codes_with_exponent(exponent: int) -> tuple[str, ...]:
    """Return the codes of the currencies with this many decimals."""
    return tuple(_EXPONENTS[exponent].split())


def exponents() -> dict[str, int]:
    """Return the number of decimals of every currency by its code."""
    return {code: each.exponent for code, each in _CURRENCIES.items()}


@lru_cache(maxsize=64)
def _pattern(integer_digits_max: int, decimals_max: int) -> re.Pattern[str]:
    decimals = f"(?:\\.([0-9]{{1,{decimals_max}}}))?" if decimals_max else "()"
    return re.compile(f"(0|[1-9][0-9]{{0,{integer_digits_max - 1}}}){decimals}")


def parse_decimal(text: str, *, integer_digits_max: int, decimals_max: int) -> int:
    """Return the decimal as an integer in units of 10 ** -decimals_max. Raises BadMoney."""
    match = _pattern(integer_digits_max, decimals_max).fullmatch(text)
    if match is None:
        raise BadMoney(
            problem=f"expected a plain decimal with up to {integer_digits_max} digits and {decimals_max} decimals, such as "
            f"{'12.5' if decimals_max else '12'}"
        )
    whole, decimals = match.groups()
    return int(whole + (decimals or "").ljust(decimals_max, "0"))


def format_decimal(scaled: int, *, decimals: int, decimals_min: int = 0) -> str:
    """Write an integer in units of 10 ** -decimals as text, with trailing zeros dropped down to `decimals_min`."""
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(decimals + 1, "0")
    whole, rest = (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")
    rest = rest[:decimals_min] + rest[decimals_min:].rstrip("0")
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"


def parse_amount(text: str, unit: Currency, *, zero: bool = False) -> int:
    """Return the amount in minor units, exactly as written.

    From 1 to AMOUNT_MINOR_MAX, or from 0 with `zero`. Raises BadMoney: excess decimals are refused, never rounded.
    """
    amount_minor = parse_decimal(text, integer_digits_max=15 - unit.exponent, decimals_max=unit.exponent)
    if amount_minor == 0 and not zero:
        raise BadMoney(problem="the amount must be more than zero")
    return amount_minor


def format_amount(amount_minor: int, unit: Currency) -> str:
    """Write minor units as a decimal in major units with all of the currency's decimals."""
    if unit.exponent == 0:
        return str(amount_minor)
    digits = str(abs(amount_minor)).zfill(unit.exponent + 1)
    return f"{'-' if amount_minor < 0 else ''}{digits[: -unit.exponent]}.{digits[-unit.exponent :]}"
