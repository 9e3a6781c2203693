"""Levels over HTTP. A new percentage reaches the accounts of the level's customers before the answer."""

from __future__ import annotations

from typing import Any

from api.directory.findings import Rules
from api.directory.resources import Content, Resource, routes
from api.directory.schemas import LevelChanges, LevelContents, LevelShown
from api.directory.services import asker_of, services_of
from api.routing import Call
from ledger.directory import levels
from ledger.directory.customers import INLINE_CUSTOMERS_MAX, already_saved, reconcile
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Level


def _listed(call: Call, query: ListQuery) -> Page:
    return levels.listed(services_of(call).directory, query)


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return levels.create(services_of(call).directory, contents)


def _read(call: Call, level_id: str) -> dict[str, Any]:
    return levels.read(services_of(call).directory, level_id)


def _change(call: Call, level_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    services = services_of(call)
    changed = levels.change(services.directory, level_id, changes, revision=revision)
    if "discount_percent" in changes:
        with already_saved():
            # Of this level only: what others are changing just now is theirs.
            reconcile(
                services.directory,
                services.ledger,
                asker_of(call),
                customers_max=INLINE_CUSTOMERS_MAX,
                level_id=level_id,
            )
    return changed


def _delete(call: Call, level_id: str, revision: int | None) -> None:
    levels.delete(services_of(call).directory, level_id, revision=revision)


RESOURCE = Resource(
    singular="level",
    plural="levels",
    path="/v1/levels",
    kind=levels.KIND,
    may_read="levels.read",
    may_write="levels.write",
    may_delete="levels.write",
    listing=levels.LISTING,
    listed=_listed,
    shown=LevelShown(),
    created=LevelShown(),
    contents=LevelContents,
    changes=LevelChanges(partial=True),
    rules=Rules(kind=levels.KIND, unique=("name", Level.name)),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
)
ROUTES = routes(RESOURCE)
