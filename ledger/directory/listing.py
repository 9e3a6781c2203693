"""Lists of the directory: filter, order, choose fields, page. Each list declares its fields once.

`field=value`, `field__op=value`, `relation__field__op=value`; `sort=-a,b`; `fields=a,b`; pages by keyset, so that a page
costs the same wherever it is and nothing is skipped or shown twice while rows come and go. A cursor holds the place
after which to go on and a digest of list, filter and order; it is no secret and proves no right, but it fits no other
question. Texts are compared exactly, also by `contains` and `startswith`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ledger.clock import parse_rfc3339
from ledger.directory import cursors
from ledger.directory.errors import BadListing, WrongParameter
from ledger.errors import BadMoney
from ledger.money import parse_decimal

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
IN_VALUES_MAX = 200
VALUE_LENGTH_MAX = 1_000
CONDITIONS_MAX = 20
SORT_KEYS_MAX = 4
_RESERVED = ("limit", "cursor", "sort", "fields")

_EQUALITY = ("eq", "ne", "in", "isnull")
_ORDERED = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "isnull")
OPERATORS = (*_ORDERED[1:7], "contains", "startswith", "isnull")
"""Every operator that may follow a field's name; a field's kind has some of them."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a field's values are written in a query, which operators they have, and their type in a cursor."""

    parse: Callable[[str], Any]
    operators: tuple[str, ...]
    stored: type


def _text(value: str) -> str:
    if not cursors.is_storable(value):
        raise ValueError("expected valid text")
    return value


def _token(value: str) -> str:
    # Tokens are ASCII columns; some engines refuse to compare them with anything else.
    if not value.isascii() or not cursors.is_storable(value):
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


TEXT = Kind(_text, (*_ORDERED, "contains", "startswith"), str)
TOKEN = Kind(_token, TEXT.operators, str)
BOOLEAN = Kind(_boolean, _EQUALITY, int)
INTEGER = Kind(_integer, _ORDERED, int)
TIME = Kind(_time, _ORDERED, int)


def decimal(*, integer_digits_max: int, decimals_max: int) -> Kind:
    """Return the kind of an exact decimal kept in units of 10 ** -decimals_max."""
    return Kind(
        lambda value: parse_decimal(value, integer_digits_max=integer_digits_max, decimals_max=decimals_max),
        _ORDERED,
        int,
    )


@dataclass(frozen=True, slots=True)
class Field:
    """One field that lists are filtered and ordered by: a column or an expression."""

    column: Any
    kind: Kind = TEXT
    nullable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a list is made of: its name, the query for its rows, its fields (a relation's as `relation__field`), and the
    names that an answer holds.
    """

    name: str
    query: sa.Select[Any]
    fields: Mapping[str, Field]
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One parsed filter."""

    name: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class SortKey:
    """One parsed sort key."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A parsed question to one list."""

    conditions: tuple[Condition, ...]
    sort: tuple[SortKey, ...]
    fields: tuple[str, ...]
    limit: int
    after: tuple[Any, ...] | None
    digest: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as they are shown, and the cursor of the next page."""

    data: list[dict[str, Any]]
    next: str | None


@dataclass(slots=True)
class _Findings:
    errors: list[WrongParameter] = field(default_factory=list)

    def add(self, parameter: str, detail: str) -> None:
        self.errors.append(WrongParameter(parameter=parameter, problem=detail))


def parse(listing: Listing, parameters: Mapping[str, str]) -> ListQuery:
    """Parse a list's parameters. Raises BadListing with everything that is wrong, BadListCursor."""
    findings = _Findings()
    given = [name for name in parameters if name not in _RESERVED]
    if len(given) > CONDITIONS_MAX:
        findings.add(given[CONDITIONS_MAX], f"a list takes up to {CONDITIONS_MAX} filters")
    conditions = [_condition(listing, name, parameters[name], findings) for name in given[:CONDITIONS_MAX]]
    sort = _sort(listing, parameters.get("sort", ""), findings)
    fields = _fields(listing, parameters.get("fields"), findings)
    limit = _limit(parameters.get("limit"), findings)
    if findings.errors:
        raise BadListing(problems=findings.errors)
    found = tuple(each for each in conditions if each is not None)
    asked = sorted([each.name, each.operator, parameters.get(_parameter(each), "")] for each in found)
    digest = cursors.digest([listing.name, asked, [[key.name, key.descending] for key in sort]])
    cursor = parameters.get("cursor")
    return ListQuery(
        conditions=found,
        sort=sort,
        fields=fields,
        limit=limit,
        after=None if cursor is None else cursors.opened(cursor, digest, [listing.fields[key.name] for key in sort]),
        digest=digest,
    )


def page(
    session: Session,
    listing: Listing,
    query: ListQuery,
    shape: Callable[[Any], dict[str, Any]],
    *scope: sa.ColumnElement[bool],
) -> Page:
    """Return one page, its rows in the given shape; `scope` narrows the list to what the asker may see."""
    statement = listing.query.add_columns(*(listing.fields[key.name].column for key in query.sort))
    statement = statement.where(*scope, *(_clause(listing.fields[each.name], each) for each in query.conditions))
    if query.after is not None:
        statement = statement.where(_after(listing, query.sort, query.after))
    for key in query.sort:
        column = listing.fields[key.name].column
        statement = statement.order_by(column.desc() if key.descending else column.asc())
    rows = session.execute(statement.limit(query.limit + 1)).all()
    data = [_chosen(shape(row[0]), query.fields) for row in rows[: query.limit]]
    more = len(rows) > query.limit
    return Page(data, cursors.sealed(query.digest, rows[query.limit - 1][1:]) if more else None)


# -- parsing
# --------------------------------------------------------------------------------------------------------------------


def _condition(listing: Listing, name: str, value: str, findings: _Findings) -> Condition | None:
    field_name, operator = name, "eq"
    if name not in listing.fields:
        field_name, separator, operator = name.rpartition("__")
        if separator == "" or field_name not in listing.fields:
            findings.add(name, f"there is no such field; there are {', '.join(listing.fields)}")
            return None
    kind = listing.fields[field_name].kind
    if operator not in kind.operators or (operator == "eq" and field_name != name):
        allowed = ", ".join(each for each in kind.operators if each != "eq")
        findings.add(name, f"{field_name} has no such operator; it has {allowed}")
        return None
    if len(value) > VALUE_LENGTH_MAX:
        findings.add(name, f"a value has up to {VALUE_LENGTH_MAX} characters")
        return None
    try:
        return Condition(field_name, operator, _value(kind, operator, value))
    except BadMoney as error:
        findings.add(name, error.problem)
    except ValueError as error:
        findings.add(name, str(error))
    return None


def _value(kind: Kind, operator: str, value: str) -> Any:
    if operator == "isnull":
        return _boolean(value)
    if operator == "in":
        values = value.split(",")
        if len(values) > IN_VALUES_MAX:
            raise ValueError(f"expected up to {IN_VALUES_MAX} values with commas between")
        return tuple(kind.parse(each) for each in values)
    return kind.parse(value)


def _parameter(condition: Condition) -> str:
    return condition.name if condition.operator == "eq" else f"{condition.name}__{condition.operator}"


def _sort(listing: Listing, text: str, findings: _Findings) -> tuple[SortKey, ...]:
    keys: dict[str, SortKey] = {}
    for part in text.split(",") if text else ():
        name = part.removeprefix("-")
        if name not in listing.fields:
            findings.add("sort", f"there is no field {name[:40]!r}; there are {', '.join(listing.fields)}")
        keys.setdefault(name, SortKey(name, part.startswith("-")))
    if len(keys) > SORT_KEYS_MAX:
        findings.add("sort", f"up to {SORT_KEYS_MAX} fields can be sorted by")
    keys.setdefault("id", SortKey("id", descending=False))
    return tuple(keys.values())


def _fields(listing: Listing, text: str | None, findings: _Findings) -> tuple[str, ...]:
    if text is None:
        return listing.shown
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in listing.shown:
            findings.add("fields", f"there is no field {name[:40]!r}; there are {', '.join(listing.shown)}")
    return names


def _limit(text: str | None, findings: _Findings) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= LIMIT_MAX):
        findings.add("limit", f"expected a whole number from 1 to {LIMIT_MAX}")
        return LIMIT_DEFAULT
    return int(text)


# -- conditions
# --------------------------------------------------------------------------------------------------------------------


def _clause(field: Field, condition: Condition) -> Any:
    column, value = field.column, condition.value
    match condition.operator:
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
            raise ValueError(condition.operator)


def _after(listing: Listing, sort: Sequence[SortKey], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition for rows behind the given place; databases put nulls first."""
    alternatives: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for key, value in zip(sort, values, strict=True):
        column = listing.fields[key.name].column
        if value is None:
            behind = sa.false() if key.descending else column.is_not(None)
        elif key.descending and listing.fields[key.name].nullable:
            behind = sa.or_(column < value, column.is_(None))
        else:
            behind = column < value if key.descending else column > value
        alternatives.append(sa.and_(*same, behind))
        same.append(column.is_(None) if value is None else column == value)
    return sa.or_(*alternatives)


def _chosen(shown: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: shown[name] for name in fields}
