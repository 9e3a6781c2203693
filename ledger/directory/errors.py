"""What the directory can answer other than yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.errors import Conflict, LedgerError, NotFound


@dataclass(eq=False, kw_only=True)
class DirectoryNotFound(NotFound):
    """Nothing of this kind has this id."""

    code = "not-found"
    message = "no {kind} {id}"
    kind: str
    id: str


@dataclass(eq=False, kw_only=True)
class AlreadyExists(Conflict):
    """A unique name is taken."""

    code = "already-exists"
    message = "a {kind} with this {field} exists already; choose another"
    kind: str
    field: str


@dataclass(eq=False, kw_only=True)
class InUse(Conflict):
    """Something else still needs it."""

    code = "in-use"
    message = "the {kind} cannot be deleted: {reason}"
    kind: str
    reason: str


@dataclass(eq=False, kw_only=True)
class RevisionMismatch(Conflict):
    """The object was changed since the client read it."""

    code = "revision-mismatch"
    message = "the {kind} was changed meanwhile and is at revision {current}; read it again and repeat the change"
    kind: str
    current: int


@dataclass(eq=False, kw_only=True)
class BadField(LedgerError):
    """A field that refers to nothing, or cannot be set so."""

    code = "invalid-fields"
    message = "{pointer}: {problem}"
    pointer: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongParameter:
    """One wrong parameter of a list, and what is allowed instead."""

    parameter: str
    problem: str


@dataclass(eq=False, kw_only=True)
class BadListing(LedgerError):
    """Filters, order or fields that the list does not know."""

    code = "invalid-fields"
    message = "some parameters are not valid"
    problems: Sequence[WrongParameter]


@dataclass(eq=False, kw_only=True)
class BadListCursor(LedgerError):
    """The cursor was made by another list, filter or order, or was altered."""

    code = "bad-cursor"
    message = "the cursor belongs to another list, filter or order; start again without it"
