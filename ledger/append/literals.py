"""SQL literals that need no escaping, for the append path only.

Binding parameters costs the driver ten times what a literal does. Here nothing is escaped either: whatever a client
may word is written as hexadecimal bytes, everything else must be an integer or a token and is checked to be one.
"""

from __future__ import annotations

from ledger.ids import TOKEN

_is_token = TOKEN.fullmatch


def token(text: str | None) -> str:
    """Return a quoted token, or NULL. Raises ValueError for any other text."""
    if text is None:
        return "NULL"
    if _is_token(text) is None:
        raise ValueError("not a token")
    return f"'{text}'"


def binary(value: bytes | None) -> str:
    """Return bytes as a hexadecimal literal, or NULL."""
    return "NULL" if value is None else f"X'{value.hex()}'"


def integer(value: int | None) -> str:
    """Return an integer, or NULL. Raises ValueError for anything else."""
    if value is None:
        return "NULL"
    if type(value) is not int:
        raise ValueError("not an integer")
    return str(value)
