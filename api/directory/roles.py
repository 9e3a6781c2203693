"""Roles and their menus over HTTP. A change is felt by the keys that have the role at once."""

from __future__ import annotations

from typing import Any

from api.authentication import ensure_all_permitted
from api.directory.findings import Rules
from api.directory.menu_schemas import EditableMenu
from api.directory.resources import Content, Resource, routes
from api.directory.schemas import RoleChanges, RoleContents, RoleShown
from api.directory.services import services_of
from api.routing import Answer, Call
from ledger.directory import roles
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Role


def _listed(call: Call, query: ListQuery) -> Page:
    return roles.listed(services_of(call).directory, query)


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Nobody gives away more than he has.
    ensure_all_permitted(call.asker, [name for each in contents for name in each["permissions"]])
    return roles.create(services_of(call).directory, contents)


def _read(call: Call, role_id: str) -> dict[str, Any]:
    return roles.read(services_of(call).directory, role_id)


def _change(call: Call, role_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    services = services_of(call)
    ensure_all_permitted(call.asker, changes.get("permissions", ()))
    changed = roles.change(services.directory, role_id, changes, revision=revision)
    services.principals.forget()
    return changed


def _delete(call: Call, role_id: str, revision: int | None) -> None:
    roles.delete(services_of(call).directory, role_id, revision=revision)


RESOURCE = Resource(
    singular="role",
    plural="roles",
    path="/v1/roles",
    kind=roles.KIND,
    may_read="roles.read",
    may_write="roles.write",
    may_delete="roles.write",
    listing=roles.LISTING,
    listed=_listed,
    shown=RoleShown(),
    created=RoleShown(),
    contents=RoleContents,
    changes=RoleChanges(partial=True),
    rules=Rules(kind=roles.KIND, unique=("name", Role.name)),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
)
ROUTES = routes(RESOURCE)


@ROUTES.get(
    "/v1/roles/<token:id>/menu",
    permission="roles.read",
    summary="A role's menu with every page that its permissions open, also hidden ones.",
    answers={200: EditableMenu()},
    errors=(404,),
)
def read_role_menu(call: Call) -> Answer:
    """Return the menu; it is changed with its role."""
    return Answer(200, roles.whole_menu(services_of(call).directory, call.path["id"]))
