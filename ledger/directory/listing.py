"""Lists of directory objects: declared fields to filter, sort and choose, keyset pages, one query a page.

``field=value`` or ``field__op=value``; ``sort=-a,b``; ``fields=a,b``; one step along a relation, as
``level__name=Gold``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ledger.directory.errors import BadListing

OPERATORS = ("ne", "gt", "gte", "lt", "lte", "in", "contains", "startswith", "isnull")
IN_MAX = 200
"""How many values `in` takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A listed field: its column, how a parameter's text becomes the column's value, and whether one may sort by it.

    `parse` raises ValueError; a sortable column is never NULL.
    """

    column: Any
    parse: Callable[[str], Any] = str
    sortable: bool = True
    textual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What may be listed: the query to start from, the fields by their public names, and the columns of the id."""

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
) -> Page:
    """Read one page. Raises BadListing for a parameter that the list does not know, naming those that it does."""
    query = listing.query
    for parameter, text in filters.items():
        query = query.where(_condition(listing, parameter, text))
    order = [*_order(listing, sort), (listing.id_column, False)]
    if after is not None:
        query = query.where(_beyond(order, after))
    query = query.order_by(*(column.desc() if descending else column.asc() for column, descending in order))
    columns = [column for column, _ in order]
    rows = session.execute(query.add_columns(*columns).limit(limit + 1)).unique().all()
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows=[row[0] for row in rows], after=list(rows[-1][1:]) if more else None)


def _condition(listing: Listing, parameter: str, text: str) -> sa.ColumnElement[bool]:
    name, _, operator = parameter.rpartition("__")
    if parameter in listing.fields:
        name, operator = parameter, "eq"
    field = listing.fields.get(name)
    if field is None or operator not in ("eq", *OPERATORS):
        allowed = f"fields: {', '.join(sorted(listing.fields))}; operators: {', '.join(OPERATORS)}"
        raise BadListing(pointer=f"/{parameter}", problem=f"unknown filter; {allowed}")
    column = field.column
    if operator == "isnull":
        if text not in ("true", "false"):
            raise BadListing(pointer=f"/{parameter}", problem="expected true or false")
        return column.is_(None) if text == "true" else column.is_not(None)  # type: ignore[no-any-return]
    if operator in ("contains", "startswith"):
        if not field.textual:
            raise BadListing(pointer=f"/{parameter}", problem=f"{operator} is for text")
        method = column.contains if operator == "contains" else column.startswith
        return method(text, autoescape=True)  # type: ignore[no-any-return]
    if operator == "in":
        texts = text.split(",")
        if len(texts) > IN_MAX:
            raise BadListing(pointer=f"/{parameter}", problem=f"at most {IN_MAX} values")
        return column.in_([_value(field, parameter, each) for each in texts])  # type: ignore[no-any-return]
    value = _value(field, parameter, text)
    comparisons: dict[str, Callable[[], Any]] = {
        "eq": lambda: column == value,
        "ne": lambda: sa.or_(column != value, column.is_(None)),
        "gt": lambda: column > value,
        "gte": lambda: column >= value,
        "lt": lambda: column < value,
        "lte": lambda: column <= value,
    }
    return comparisons[operator]()  # type: ignore[no-any-return]


def _value(field: Field, parameter: str, text: str) -> Any:
    try:
        return field.parse(text)
    except ValueError as error:
        raise BadListing(pointer=f"/{parameter}", problem=str(error)) from None


def _order(listing: Listing, sort: str) -> list[tuple[Any, bool]]:
    order = []
    for part in filter(None, sort.split(",")):
        name, descending = part.lstrip("-"), part.startswith("-")
        field = listing.fields.get(name)
        if field is None or not field.sortable:
            sortable = ", ".join(sorted(name for name, field in listing.fields.items() if field.sortable))
            raise BadListing(pointer="/sort", problem=f"cannot sort by {name!r}; sortable: {sortable}")
        order.append((field.column, descending))
    return order


def _beyond(order: Sequence[tuple[Any, bool]], after: Sequence[Any]) -> sa.ColumnElement[bool]:
    if len(after) != len(order):
        raise BadListing(pointer="/cursor", problem="the cursor belongs to another list")
    alternatives = []
    for index, ((column, descending), value) in enumerate(zip(order, after, strict=True)):
        equal = [earlier == then for (earlier, _), then in zip(order[:index], after[:index], strict=True)]
        alternatives.append(sa.and_(*equal, column < value if descending else column > value))
    return sa.or_(*alternatives)
