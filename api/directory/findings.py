"""What the database knows to be wrong with new objects: names that are taken, references to nothing.

Looked up for all objects of a request at once, so that a bulk can be answered with an error for each of its objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from api.directory.services import services_of
from api.errors import FieldError, InvalidFields
from api.routing import Call
from ledger.directory.directory import Directory
from ledger.directory.errors import AlreadyExists

_VALUES_MAX = 500
"""How many values one query looks up."""

Problem = tuple[str, str]
"""A field and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is looked up: the unique field and its column, references and their columns, and rules beyond."""

    kind: str
    unique: tuple[str, Any] | None = None
    references: Mapping[str, Any] = field(default_factory=dict)
    also: Callable[[Mapping[str, Any]], Problem | None] = lambda content: None


def ensure_new(call: Call, rules: Rules, content: Mapping[str, Any]) -> None:
    """Raise AlreadyExists or InvalidFields when the object cannot be created."""
    found = _found(call, rules, [content]).get(0)
    if found is None:
        return
    if found == _taken_problem(rules):
        raise AlreadyExists(kind=rules.kind, field=found[0])
    raise InvalidFields(errors=[FieldError(pointer=f"/{found[0]}", detail=found[1])])


def ensure_all_new(call: Call, rules: Rules, contents: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidFields with one error for each object that cannot be created."""
    found = _found(call, rules, contents)
    if found:
        errors = [
            FieldError(pointer=f"/{index}/{name}", detail=problem) for index, (name, problem) in sorted(found.items())
        ]
        raise InvalidFields(errors=errors)


def _found(call: Call, rules: Rules, contents: Sequence[Mapping[str, Any]]) -> dict[int, Problem]:
    directory = services_of(call).directory
    found: dict[int, Problem] = {}
    for index, content in enumerate(contents):
        problem = rules.also(content)
        if problem is not None:
            found[index] = problem
    for name, column in rules.references.items():
        known = _existing(directory, column, {content[name] for content in contents if content.get(name) is not None})
        for index, content in enumerate(contents):
            if content.get(name) is not None and content[name] not in known:
                found.setdefault(index, (name, _reference_problem(column, content[name])))
    if rules.unique is not None:
        name, column = rules.unique
        seen = _existing(directory, column, {content[name] for content in contents})
        for index, content in enumerate(contents):
            if content[name] in seen:
                found.setdefault(index, _taken_problem(rules))
            seen.add(content[name])
    return found


def _reference_problem(column: Any, value: str) -> str:
    return f"there is no {column.class_.__name__.lower()} {value}"


def _taken_problem(rules: Rules) -> Problem:
    name = "" if rules.unique is None else rules.unique[0]
    return name, f"another {rules.kind} has this {name} already"


def _existing(directory: Directory, column: Any, values: set[str]) -> set[str]:
    wanted = sorted(values)
    with directory.reading() as session:
        chunks = [wanted[start : start + _VALUES_MAX] for start in range(0, len(wanted), _VALUES_MAX)]
        return {value for chunk in chunks for value in session.scalars(sa.select(column).where(column.in_(chunk)))}
