"""An order as the read model stores it: a JSON list, in the order of the places named here."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from ledger.orders import Order

ORDER_FIELDS = tuple(each.name for each in fields(Order))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDocument:
    """An order with its number (1, 2, 3 … in placing order) and the times of its first and last event."""

    number: int
    order: Order
    placed_at_us: int
    updated_at_us: int


PLACES = (*ORDER_FIELDS, "number", "placed_at_us", "updated_at_us", "folded")
LUA_PLACE = {name: index for index, name in enumerate(PLACES, 1)}
"""Where a field is in the list, counted as Lua does."""
_OF_ORDER = [(name, index) for index, name in enumerate(ORDER_FIELDS)]


def folded(text: str) -> str:
    """Return the form in which texts are compared: without regard to case."""
    return text.casefold()


def encode(document: OrderDocument) -> str:
    """Return the document as stored; `folded` only where it differs from the reference."""
    order = document.order
    values: list[Any] = [getattr(order, name) for name in ORDER_FIELDS]
    compared = None if order.reference is None else folded(order.reference)
    values += [document.number, document.placed_at_us, document.updated_at_us]
    values.append(None if compared == order.reference else compared)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> OrderDocument:
    """Return the document as it was stored."""
    values = json.loads(text)
    number, placed_at_us, updated_at_us = values[-4:-1]
    return OrderDocument(
        number=number,
        order=Order(**{name: values[index] for name, index in _OF_ORDER}),
        placed_at_us=placed_at_us,
        updated_at_us=updated_at_us,
    )
