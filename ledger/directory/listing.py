"""Lists of the directory: declared fields to filter and sort by, keyset pages, one query a page.

``field=value`` or ``field__op=value``; ``sort=-a,b``; one step along a relation, as ``level__name=Gold``. Texts are
compared exactly, also by `contains` and `startswith`, and nulls come first, the same on every engine. Pages go on after
the last row's values, so that a page costs the same wherever it is and nothing is skipped or shown twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ledger.clock import parse_rfc3339
from ledger.directory.errors import BadListing
from ledger.money import parse_decimal

IN_MAX = 200
"""How many values `in` takes at most."""
FILTERS_MAX = 20
SORT_KEYS_MAX = 4
VALUE_LENGTH_MAX = 1_000

_EQUALITY = ("eq", "ne", "in", "isnull")
_ORDERED = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "isnull")
OPERATORS = (*_ORDERED[1:7], "contains", "startswith", "isnull")
"""Every operator that may follow a field's name; a field's kind has some of them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a field's values are written in a query and which operators they have."""

    parse: Callable[[str], Any]
    operators: tuple[str, ...]


def _is_storable(text: str) -> bool:
    return not any(0xD800 <= ord(letter) <= 0xDFFF or letter == "\0" for letter in text)


def _text(value: str) -> str:
    if not _is_storable(value):
        raise ValueError("expected valid text")
    return value


def _token(value: str) -> str:
    # Tokens are ASCII columns; some engines refuse to compare them with anything else.
    if not value.isascii() or not _is_storable(value):
        raise ValueError("expected ASCII text")
    return value


def _boolean(value: str) -> int:
    if value not in ("true", "false"):
        raise ValueError("expected true or false")
    return int(value == "true")


def _integer(value: str) -> int:
    return parse_decimal(value, integer_digits_max=18, decimals_max=0)


def _time(value: str) -> int:
    try:
        return parse_rfc3339(value)
    except ValueError:
        raise ValueError("expected an RFC 3339 time with its offset, such as 2026-11-22T10:00:00Z") from None


TEXT = Kind(_text, (*_ORDERED, "contains", "startswith"))
TOKEN = Kind(_token, TEXT.operators)
BOOLEAN = Kind(_boolean, _EQUALITY)
INTEGER = Kind(_integer, _ORDERED)
TIME = Kind(_time, _ORDERED)


def decimal(*, integer_digits_max: int, decimals_max: int) -> Kind:
    """Return the kind of an exact decimal kept in units of 10 ** -decimals_max."""
    return Kind(
        lambda value: parse_decimal(value, integer_digits_max=integer_digits_max, decimals_max=decimals_max),
        _ORDERED,
    )


@dataclass(frozen=True, slots=True)
class Field:
    """One field that lists are filtered and ordered by: a column or an expression."""

    column: Any
    kind: Kind = TEXT
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What may be listed: the query to start from, the fields by their public names, and the column of the id."""

    query: sa.Select[Any]
    fields: Mapping[str, Field]
    id_column: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows of one page, and the sort values to continue after; None at the end."""

    rows: list[Any]
    after: list[Any] | None


def page(
    session: Session,
    listing: Listing,
    filters: Mapping[str, str],
    *,
    sort: str,
    limit: int,
    after: Sequence[Any] | None,
    scope: Sequence[sa.ColumnElement[bool]] = (),
) -> Page:
    """Read one page; `scope` narrows the list to what the asker may see.

    Raises BadListing for a parameter that the list does not know, naming those that it does.
    """
    if len(filters) > FILTERS_MAX:
        raise BadListing(pointer=f"/{list(filters)[FILTERS_MAX]}", problem=f"at most {FILTERS_MAX} filters")
    query = listing.query.where(*scope)
    for parameter, text in filters.items():
        query = query.where(_condition(listing, parameter, text))
    order = _order(listing, sort)
    if after is not None:
        query = query.where(_beyond(order, after))
    query = query.order_by(*(field.column.desc() if descending else field.column.asc() for field, descending in order))
    columns = [field.column for field, _ in order]
    rows = session.execute(query.add_columns(*columns).limit(limit + 1)).all()
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows=[row[0] for row in rows], after=list(rows[-1][1:]) if more else None)


def _condition(listing: Listing, parameter: str, text: str) -> Any:
    name, _, operator = parameter.rpartition("__")
    if parameter in listing.fields:
        name, operator = parameter, "eq"
    field = listing.fields.get(name)
    if field is None:
        raise BadListing(pointer=f"/{parameter}", problem=f"no such field; there are {', '.join(listing.fields)}")
    if operator not in field.kind.operators or (operator == "eq" and name != parameter):
        allowed = ", ".join(each for each in field.kind.operators if each != "eq")
        raise BadListing(pointer=f"/{parameter}", problem=f"{name} has no such operator; it has {allowed}")
    try:
        return _clause(field, operator, _value(field.kind, operator, text))
    except ValueError as error:
        raise BadListing(pointer=f"/{parameter}", problem=str(error)) from None


def _value(kind: Kind, operator: str, text: str) -> Any:
    if len(text) > VALUE_LENGTH_MAX:
        raise ValueError(f"expected up to {VALUE_LENGTH_MAX} characters")
    if operator == "isnull":
        return _boolean(text)
    if operator == "in":
        texts = text.split(",")
        if len(texts) > IN_MAX:
            raise ValueError(f"expected up to {IN_MAX} values with commas between")
        return tuple(kind.parse(each) for each in texts)
    return kind.parse(text)


def _clause(field: Field, operator: str, value: Any) -> Any:
    column = field.column
    match operator:
        case "eq":
            return column == value
        case "ne":
            return sa.or_(column != value, column.is_(None)) if field.nullable else column != value
        case "gt":
            return column > value
        case "gte":
            return column >= value
        case "lt":
            return column < value
        case "lte":
            return column <= value
        case "in":
            return column.in_(value)
        case "isnull":
            return column.is_(None) if value else column.is_not(None)
        case "contains":
            # Not LIKE: it has wildcards, and SQLite's ignores the case of some letters.
            return sa.func.instr(column, value) > 0
        case "startswith":
            # The first comparison lets an index find the place, the second is the condition.
            return sa.and_(column >= value, sa.func.substr(column, 1, len(value)) == value)
        case _:
            raise ValueError(operator)


def _order(listing: Listing, sort: str) -> list[tuple[Field, bool]]:
    order: dict[str, tuple[Field, bool]] = {}
    for part in sort.split(",") if sort else ():
        name = part.removeprefix("-")
        field = listing.fields.get(name)
        if field is None:
            raise BadListing(
                pointer="/sort", problem=f"cannot sort by {name[:40]!r}; there are {', '.join(listing.fields)}"
            )
        order.setdefault(name, (field, part.startswith("-")))
    if len(order) > SORT_KEYS_MAX:
        raise BadListing(pointer="/sort", problem=f"at most {SORT_KEYS_MAX} fields")
    # The id makes every order total.
    return [*order.values(), (Field(listing.id_column), False)]


def _beyond(order: Sequence[tuple[Field, bool]], after: Sequence[Any]) -> sa.ColumnElement[bool]:
    if len(after) != len(order):
        raise BadListing(pointer="/cursor", problem="the cursor belongs to another list")
    alternatives: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for (field, descending), value in zip(order, after, strict=True):
        column = field.column
        if value is None:
            behind = sa.false() if descending else column.is_not(None)
        elif descending and field.nullable:
            behind = sa.or_(column < value, column.is_(None))
        else:
            behind = column < value if descending else column > value
        alternatives.append(sa.and_(*same, behind))
        same.append(column.is_(None) if value is None else column == value)
    return sa.or_(*alternatives)
