"""Amounts between a program and the wire: decimals, never floats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


class AmountRefused(TypeError):
    """What was given for an amount is no exact decimal, such as a float."""


def amount_text(value: Decimal | str | int) -> str:
    """Return the wire's form of an amount in major units. Raises AmountRefused for floats and what is no number."""
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise AmountRefused(f"an amount is a Decimal, a text or a whole number, not {type(value).__name__}: {value!r}")
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise AmountRefused(f"{value} is no amount")
        return format(value, "f")
    return str(value)


def amount(text: str | None) -> Decimal | None:
    """Return an answer's amount as a decimal, None for none."""
    return None if text is None else Decimal(text)


def encode(content: Mapping[str, Any]) -> bytes:
    """Return JSON bytes of fields; decimals become text.

    Raises AmountRefused for a float among the fields or in a list of them, such as tiers. Within an object that is the
    caller's own, such as params and executor settings, a number may be any.
    """
    exact = {name: _own(each) if isinstance(each, Mapping) else _exact(each) for name, each in content.items()}
    return json.dumps(exact, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def _exact(value: Any) -> Any:
    match value:
        case float():
            raise AmountRefused(f"floats are not exact: write {value!r} as a Decimal or a text")
        case Decimal():
            return amount_text(value)
        case Mapping():
            return {name: _exact(each) for name, each in value.items()}
        case list() | tuple():
            return [_exact(each) for each in value]
        case _:
            return value


def _own(value: Any) -> Any:
    match value:
        case Decimal():
            return amount_text(value)
        case Mapping():
            return {name: _own(each) for name, each in value.items()}
        case list() | tuple():
            return [_own(each) for each in value]
        case _:
            return value
