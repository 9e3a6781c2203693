"""SQL literals that need no escaping, for the append path only.

Binding parameters costs the driver ten times what a literal does. Here nothing is escaped either: whatever a client
may word is written as hexadecimal bytes, an integer by the format code that takes nothing else, and every other text must
be a token and is checked to be one.
"""

from __future__ import annotations

from functools import lru_cache

from ledger.ids import TOKEN

WORDS_REMEMBERED_MAX = 4_096

_is_token = TOKEN.fullmatch


def token(text: str | None) -> str:
    """Return a quoted token, or NULL. Raises ValueError for any other text."""
    if text is None:
        return "NULL"
    if _is_token(text) is None:
        raise ValueError("not a token")
    return f"'{text}'"


word = lru_cache(WORDS_REMEMBERED_MAX)(token)
"""The same for tokens that come again and again: types, actors, currencies, percentages."""


def binary(value: bytes | None) -> str:
    """Return bytes as a hexadecimal literal, or NULL."""
    return "NULL" if value is None else f"X'{value.hex()}'"
