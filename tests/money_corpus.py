"""Texts and other JSON values that somebody may send where an amount, a price or a percentage is expected.

Every field that takes one is tried with all of them: what is stored is exactly what was sent, or it is refused.
"""

from __future__ import annotations

import random
from decimal import Decimal, InvalidOperation
from typing import Any

_POWERS = [str(10**power + step) for power in range(21) for step in (-1, 0, 1)]
_FRACTIONS = [f"{whole}.{'0' * zeros}{digit}" for whole in ("0", "7", "99") for zeros in range(8) for digit in "15"]
_TRAILING_ZEROS = [f"{whole}.{'0' * zeros}" for whole in ("0", "1", "12", "100") for zeros in range(1, 9)]
_EDGES = [
    "9" * digits + "." + "9" * decimals for digits in (1, 3, 9, 11, 12, 13, 15, 16) for decimals in (1, 2, 4, 6, 7)
]
_SIGNED = [sign + text for sign in ("+", "-", "−", "±", "--") for text in ("0", "1", "0.5", "12.50")]
_EXPONENTS = ["1e2", "1E2", "1e-2", "1.5e3", "0e0", "1e400", "1e-400", "9e999999", "1E+2"]
_WORDS = [
    "NaN",
    "nan",
    "sNaN",
    "Infinity",
    "-Infinity",
    "inf",
    "null",
    "None",
    "true",
    "0x10",
    "0b1",
    "1/2",
    "50%",
    "1f",
]
_SEPARATED = [
    "1,000",
    "1,00",
    "1.000,00",
    "1 000",
    "1_000",
    "1'000",
    "1..0",
    "1.2.3",
    "1.",
    ".5",
    ".",
    "",
    "-",
    "+",
    "01",
    "007",
    "00.5",
]
_SPACED = [
    f"{before}1.5{after}"
    for before, after in (
        ("", "\n"),
        (" ", ""),
        ("", " "),
        ("\t", ""),
        ("", "\u00a0"),
        ("\u2003", ""),
        ("", "\0"),
        ("\ufeff", ""),
        ("", "\u200b"),
    )
]
_SCRIPTS = [
    "１２",
    "١٢",
    "१२",
    "一",
    "²",
    "½",
    "Ⅷ",
    "１.５",
    "1．5",
    "1٫5",
    "1。5",
    "𝟙",
    "1\u0301",
    "\ud800",
    "1\udc00",
]
_SYMBOLS = ["¥1", "$1", "1元", "CNY 1", "1 CNY", "€1.00"]
_LONG = ["1" * 5_000, "0." + "0" * 5_000 + "1", "0" * 5_000, "1." + "0" * 5_000]
_OTHER_TYPES: list[Any] = [
    0,
    1,
    -1,
    1.5,
    0.1,
    1e300,
    2**53,
    10**25,
    True,
    False,
    None,
    [],
    ["1"],
    {},
    {"amount": "1"},
    [[]],
]


def _plain(count: int) -> list[str]:
    chance = random.Random(20261123)
    texts = []
    for _ in range(count):
        digits, decimals = chance.randint(1, 16), chance.randint(0, 7)
        whole = str(chance.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits))
        fraction = "".join(chance.choice("0123456789") for _ in range(decimals))
        texts.append(f"{whole}.{fraction}" if fraction else whole)
    return texts


VALUES: list[Any] = [
    *dict.fromkeys(
        _POWERS
        + _FRACTIONS
        + _TRAILING_ZEROS
        + _EDGES
        + _SIGNED
        + _EXPONENTS
        + _WORDS
        + _SEPARATED
        + _SPACED
        + _SCRIPTS
        + _SYMBOLS
        + _LONG
        + _plain(150)
    ),
    *_OTHER_TYPES,
]
"""The corpus; the same at each run."""


def is_same_number(sent: Any, stored: Any) -> bool:
    """Say whether a stored decimal text is exactly the number that was sent, which must have been a text too."""
    if not isinstance(sent, str) or not isinstance(stored, str):
        return False
    try:
        return Decimal(sent) == Decimal(stored)
    except InvalidOperation:
        return False
