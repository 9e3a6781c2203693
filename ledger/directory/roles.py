"""Roles: named sets of permissions, and their menus. The ones that come ready can be widened or narrowed, but not deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ledger.directory import menus
from ledger.directory.access import own_menu
from ledger.directory.changes import find, stamped, stamps, touch, unique
from ledger.directory.directory import Directory
from ledger.directory.errors import BadField, InUse
from ledger.directory.listing import BOOLEAN, INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, page
from ledger.directory.models import ApiKey, Role, RolePermission, User
from ledger.directory.permissions import PERMISSIONS
from ledger.ids import new_id

KIND = "role"
ADMIN = "admin"

LISTING = Listing(
    name="roles",
    query=sa.select(Role),
    fields={
        "id": Field(Role.id, TOKEN),
        "name": Field(Role.name),
        "builtin": Field(Role.builtin, BOOLEAN),
        "revision": Field(Role.revision, INTEGER),
        "created_at": Field(Role.created_at_us, TIME),
        "updated_at": Field(Role.updated_at_us, TIME),
    },
    shown=("id", "name", "builtin", "permissions", "menu", "revision", "created_at", "updated_at"),
)


def create(directory: Directory, contents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Create roles, all or none. Raises AlreadyExists, BadField for an unknown permission or page."""
    rows = [
        Role(
            id=new_id("rol"),
            name=each["name"],
            builtin=0,
            permissions=_permissions(each["permissions"]),
            menu=_menu(each.get("menu")),
            **stamps(),
        )
        for each in contents
    ]
    with unique(KIND, "name"), directory.writing() as session:
        session.add_all(rows)
    return [public(row) for row in rows]


def listed(directory: Directory, query: ListQuery) -> Page:
    """Return one page of roles."""
    with directory.reading() as session:
        return page(session, LISTING, query, public)


def read(directory: Directory, role_id: str) -> dict[str, Any]:
    """Return the role. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(find(session, Role, KIND, role_id))


def change(
    directory: Directory, role_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> dict[str, Any]:
    """Rename a role of one's own, or change what a role permits or its menu; `admin` keeps every permission.

    Raises DirectoryNotFound, RevisionMismatch, AlreadyExists, BadField.
    """
    with unique(KIND, "name"), directory.writing() as session:
        row = find(session, Role, KIND, role_id, revision=revision, lock=True)
        if changes.get("name", row.name) != row.name:
            if row.builtin:
                raise BadField(pointer="/name", problem="a role that came ready keeps its name")
            row.name = changes["name"]
        if "permissions" in changes:
            if row.name == ADMIN and row.builtin:
                raise BadField(pointer="/permissions", problem="admin keeps every permission")
            wanted = {each.permission: each for each in _permissions(changes["permissions"])}
            kept = [each for each in row.permissions if wanted.pop(each.permission, None) is not None]
            row.permissions = [*kept, *wanted.values()]
        if "menu" in changes:
            row.menu = _menu(changes["menu"])
        touch(row)
        session.flush()
    return public(row)


def delete(directory: Directory, role_id: str, *, revision: int | None = None) -> None:
    """Delete a role of one's own that no key or user has. Raises DirectoryNotFound, RevisionMismatch, InUse."""
    with directory.writing() as session:
        row = find(session, Role, KIND, role_id, revision=revision, lock=True)
        if row.builtin:
            raise InUse(kind=KIND, reason="it came ready")
        count = session.scalar(sa.select(sa.func.count()).where(ApiKey.role_id == role_id))
        if count:
            raise InUse(kind=KIND, reason=f"{count} API keys have it")
        count = session.scalar(sa.select(sa.func.count()).where(User.role_id == role_id))
        if count:
            raise InUse(kind=KIND, reason=f"{count} users have it")
        session.delete(row)


def public(row: Role) -> dict[str, Any]:
    """Return the role as clients see it."""
    return {
        "id": row.id,
        "name": row.name,
        "builtin": bool(row.builtin),
        "permissions": sorted(each.permission for each in row.permissions),
        "menu": own_menu(row),
        **stamped(row),
    }


def whole_menu(directory: Directory, role_id: str) -> dict[str, Any]:
    """Return the role's menu with every page it opens, for an editor. Raises DirectoryNotFound."""
    with directory.reading() as session:
        row = find(session, Role, KIND, role_id)
        own, permissions = own_menu(row), [each.permission for each in row.permissions]
        return {
            "role": row.name,
            "revision": row.revision,
            "is_default": own is None,
            "menu": menus.whole_menu(permissions, own),
        }


def _menu(entries: Sequence[Mapping[str, Any]] | None) -> str | None:
    return None if entries is None else json.dumps(menus.checked(entries), ensure_ascii=False)


def _permissions(names: Sequence[str]) -> list[RolePermission]:
    for name in names:
        if name not in PERMISSIONS:
            raise BadField(pointer="/permissions", problem=f"no permission {name}; there are {', '.join(PERMISSIONS)}")
    return [RolePermission(permission=name) for name in dict.fromkeys(names)]


def permissions_of(directory: Directory, names: Sequence[str]) -> frozenset[str]:
    """Return everything that the roles with these names permit; roles that do not exist permit nothing."""
    with directory.reading() as session:
        rows = session.scalars(sa.select(Role).where(Role.name.in_(list(names))))
        return frozenset(each.permission for row in rows for each in row.permissions)
