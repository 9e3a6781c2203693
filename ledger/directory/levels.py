"""Customer levels: what their customers pay, in percent of the list price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ledger.directory.changes import find, stamped, stamps, touch, unique
from ledger.directory.directory import Directory
from ledger.directory.errors import InUse
from ledger.directory.listing import INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, decimal, page
from ledger.directory.models import Customer, Level
from ledger.ids import new_id
from ledger.money import format_decimal, parse_decimal
from ledger.pricing import PERCENT_DECIMALS, canonical_percent

KIND = "level"
LISTING = Listing(
    name="levels",
    query=sa.select(Level),
    fields={
        "id": Field(Level.id, TOKEN),
        "name": Field(Level.name),
        "discount_percent": Field(
            Level.discount_hundredths, decimal(integer_digits_max=3, decimals_max=PERCENT_DECIMALS)
        ),
        "revision": Field(Level.revision, INTEGER),
        "created_at": Field(Level.created_at_us, TIME),
        "updated_at": Field(Level.updated_at_us, TIME),
    },
    shown=("id", "name", "discount_percent", "revision", "created_at", "updated_at"),
)


def create(directory: Directory, contents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Create levels, all or none. Raises AlreadyExists."""
    rows = [
        Level(
            id=new_id("lvl"), name=each["name"], discount_hundredths=_hundredths(each["discount_percent"]), **stamps()
        )
        for each in contents
    ]
    with unique(KIND, "name"), directory.writing() as session:
        session.add_all(rows)
    return [public(row) for row in rows]


def listed(directory: Directory, query: ListQuery) -> Page:
    """Return one page of levels."""
    with directory.reading() as session:
        return page(session, LISTING, query, public)


def read(directory: Directory, level_id: str) -> dict[str, Any]:
    """Return the level. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(find(session, Level, KIND, level_id))


def change(
    directory: Directory, level_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> dict[str, Any]:
    """Change name or percentage; a new percentage reaches the accounts through
    ledger.directory.customers.bring_in_step.

    Raises DirectoryNotFound, RevisionMismatch, AlreadyExists.
    """
    with unique(KIND, "name"), directory.writing() as session:
        row = find(session, Level, KIND, level_id, revision=revision, lock=True)
        if "name" in changes:
            row.name = changes["name"]
        if "discount_percent" in changes:
            wanted = _hundredths(changes["discount_percent"])
            if wanted != row.discount_hundredths:
                row.discount_hundredths = wanted
                _mark_customers(session, level_id)
        touch(row)
        session.flush()
    return public(row)


def _mark_customers(session: Session, level_id: str) -> None:
    """Mark the level's customers out of step, writing every one: on a cluster only what is written meets whoever settles
    the customer at another node, and a row that is out of step already would not be."""
    for in_step in (1, 0):
        session.execute(sa.update(Customer).where(Customer.level_id == level_id).values(in_step=in_step))


def delete(directory: Directory, level_id: str, *, revision: int | None = None) -> None:
    """Delete a level that no customer has. Raises DirectoryNotFound, RevisionMismatch, InUse."""
    with directory.writing() as session:
        row = find(session, Level, KIND, level_id, revision=revision, lock=True)
        _ensure_unused(session, level_id)
        session.delete(row)


def discount_percent(row: Level) -> str:
    """Return what is paid, in percent, in its one stored form."""
    return format_decimal(row.discount_hundredths, decimals=PERCENT_DECIMALS)


def public(row: Level) -> dict[str, Any]:
    """Return the level as clients see it."""
    return {"id": row.id, "name": row.name, "discount_percent": discount_percent(row), **stamped(row)}


def _ensure_unused(session: Session, level_id: str) -> None:
    count = session.scalar(sa.select(sa.func.count()).where(Customer.level_id == level_id))
    if count:
        raise InUse(kind=KIND, reason=f"{count} customers have it; give them another level first")


def _hundredths(text: str) -> int:
    return parse_decimal(canonical_percent(text), integer_digits_max=3, decimals_max=PERCENT_DECIMALS)
