"""What every change of a directory object has in common: find it, hold its revision, raise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ledger.clock import now_us, rfc3339
from ledger.directory.errors import AlreadyExists, DirectoryNotFound, RevisionMismatch


class Versioned(Protocol):
    """A row with a revision."""

    id: Any
    revision: Any
    created_at_us: Any
    updated_at_us: Any


Row = TypeVar("Row", bound=Versioned)


def find(
    session: Session, model: type[Row], kind: str, id: str, *, revision: int | None = None, lock: bool = False
) -> Row:
    """Return the row. Raises DirectoryNotFound, or RevisionMismatch when the client read another revision."""
    row = session.get(model, id, with_for_update=True if lock else None)
    if row is None:
        raise DirectoryNotFound(kind=kind, id=id)
    if revision is not None and row.revision != revision:
        raise RevisionMismatch(kind=kind, current=row.revision)
    return row


def stamps() -> dict[str, int]:
    """Return the columns of a new row's first revision."""
    now = now_us()
    return {"revision": 1, "created_at_us": now, "updated_at_us": now}


def touch(row: Versioned) -> None:
    """Raise the revision."""
    row.revision += 1
    row.updated_at_us = max(now_us(), row.updated_at_us)


def stamped(row: Versioned) -> dict[str, Any]:
    """Return the public form of a row's times and revision."""
    return {
        "revision": row.revision,
        "created_at": rfc3339(row.created_at_us),
        "updated_at": rfc3339(row.updated_at_us),
    }


@contextmanager
def unique(kind: str, field: str) -> Iterator[None]:
    """Turn the database's objection to a duplicate into AlreadyExists."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise AlreadyExists(kind=kind, field=field) from error
