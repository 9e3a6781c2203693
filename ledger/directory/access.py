"""API keys and who they stand for.

A secret is shown once; only its SHA-256 is kept, which is enough for 256 random bits. A principal is remembered for
a moment, so that a busy client does not cost a query a request; a change made in this process is forgotten at once,
one made in another takes effect within that moment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, contains_eager, joinedload

from ledger.directory.changes import find, stamped, stamps, touch
from ledger.directory.directory import Directory
from ledger.directory.errors import BadField
from ledger.directory.in_step import DEACTIVATED
from ledger.directory.listing import BOOLEAN, INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, page
from ledger.directory.models import ApiKey, Customer, Role, User
from ledger.directory.permissions import BINDABLE
from ledger.ids import new_id
from ledger.remembering import Remembered

KIND = "api key"
PREFIX = "olk_"
REMEMBERED_MAX = 10_000

LISTING = Listing(
    name="api-keys",
    query=sa.select(ApiKey).join(ApiKey.role).outerjoin(ApiKey.customer).options(contains_eager(ApiKey.role)),
    fields={
        "id": Field(ApiKey.id, TOKEN),
        "name": Field(ApiKey.name),
        "role": Field(Role.name),
        "role__name": Field(Role.name),
        "customer_id": Field(ApiKey.customer_id, TOKEN, nullable=True),
        "customer__name": Field(Customer.name, nullable=True),
        "active": Field(ApiKey.active, BOOLEAN),
        "revision": Field(ApiKey.revision, INTEGER),
        "created_at": Field(ApiKey.created_at_us, TIME),
        "updated_at": Field(ApiKey.updated_at_us, TIME),
    },
    shown=("id", "name", "role", "customer_id", "active", "revision", "created_at", "updated_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: `id` is the actor of its commands; with a `customer_id` it sees that customer only.

    `menu` is its role's own menu, None for the default one.
    """

    id: str
    role: str
    permissions: frozenset[str]
    customer_id: str | None
    menu: Sequence[Mapping[str, Any]] | None = None


class Principals:
    """Finds the principal of a secret, remembering it for `remember_s` seconds. Thread-safe.

    While the directory cannot be reached, who was known at most `grace_s` before still is.
    """

    def __init__(self, directory: Directory, *, remember_s: float = 1.0, grace_s: float = 0.0) -> None:
        self._directory = directory
        self._known = Remembered(self._read, remember_s=remember_s, entries_max=REMEMBERED_MAX, grace_s=grace_s)

    def of_key(self, secret: str) -> Principal | None:
        """Return whom the secret stands for, None when it is unknown or ended."""
        return self._known.get(secret_hash(secret))

    def forget(self) -> None:
        """Look everyone up again: a key or a role was changed."""
        self._known.forget()

    def _read(self, digests: Sequence[bytes]) -> dict[bytes, Principal]:
        read = {digest: principal_of(self._directory, digest) for digest in digests}
        return {digest: principal for digest, principal in read.items() if principal is not None}


def secret_hash(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def principal_of(directory: Directory, digest: bytes) -> Principal | None:
    """Return the principal of a secret's hash; None when the key has ended, or its customer is deactivated."""
    query = (
        sa.select(ApiKey, Customer.status)
        .outerjoin(Customer, ApiKey.customer_id == Customer.id)
        .options(joinedload(ApiKey.role))
        .where(ApiKey.secret_hash == digest, ApiKey.active == 1)
    )
    with directory.reading() as session:
        found = session.execute(query).first()
        if found is None or found.status == DEACTIVATED:
            return None
        row: ApiKey = found.ApiKey
        return Principal(
            id=f"key:{row.id}",
            role=row.role.name,
            permissions=granted(row),
            customer_id=row.customer_id,
            menu=own_menu(row.role),
        )


def create_api_keys(directory: Directory, contents: Sequence[Mapping[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Create keys by name, role and optional customer_id, all or none; return each with its secret, shown this once.

    A `secret` may be given by whoever sets up a machine beforehand; otherwise it is made.

    Raises BadField for a role or customer that does not exist, or a `customer` role without a customer.
    """
    made: list[tuple[ApiKey, str]] = []
    with directory.writing() as session:
        for each in contents:
            secret = each.get("secret") or f"{PREFIX}{secrets.token_urlsafe(32)}"
            row = ApiKey(
                id=new_id("key"),
                name=each["name"],
                secret_hash=secret_hash(secret),
                role=role_named(session, each["role"]),
                customer_id=each.get("customer_id"),
                active=1,
                **stamps(),
            )
            if row.customer_id is not None and session.get(Customer, row.customer_id) is None:
                raise BadField(pointer="/customer_id", problem=f"no customer {row.customer_id}")
            if row.role.name == "customer" and row.customer_id is None:
                raise BadField(pointer="/customer_id", problem="a key with the role customer needs its customer")
            session.add(row)
            made.append((row, secret))
    return [(public(row), secret) for row, secret in made]


def listed(directory: Directory, query: ListQuery, *, customer_id: str | None = None) -> Page:
    """Return one page of API keys; with a customer, of that customer only."""
    scope = [] if customer_id is None else [ApiKey.customer_id == customer_id]
    with directory.reading() as session:
        return page(session, LISTING, query, public, *scope)


def read(directory: Directory, key_id: str) -> dict[str, Any]:
    """Return the key, without its secret. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(_loaded(session, key_id))


def change(
    directory: Directory, key_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> dict[str, Any]:
    """Rename a key, end it or let it be used again. Raises DirectoryNotFound, RevisionMismatch."""
    with directory.writing() as session:
        row = _loaded(session, key_id, revision=revision, lock=True)
        row.name = changes.get("name", row.name)
        row.active = changes.get("active", row.active)
        touch(row)
    return public(row)


def delete(directory: Directory, key_id: str, *, revision: int | None = None) -> None:
    """Delete a key; what it did stays in the log under its id. Raises DirectoryNotFound, RevisionMismatch."""
    with directory.writing() as session:
        session.delete(_loaded(session, key_id, revision=revision, lock=True))


def public(row: ApiKey) -> dict[str, Any]:
    """Return the key as clients see it."""
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role.name,
        "customer_id": row.customer_id,
        "active": bool(row.active),
        **stamped(row),
    }


def granted(row: ApiKey | User) -> frozenset[str]:
    """Return what a key or user may do: what its role permits, as far as it may be bound to one customer."""
    # Whoever is bound to one customer could otherwise raise its own credit, or see everybody's sums.
    permitted = frozenset(each.permission for each in row.role.permissions)
    return permitted if row.customer_id is None else permitted & BINDABLE


def own_menu(role: Role) -> Sequence[Mapping[str, Any]] | None:
    """Return the role's own menu, None for the default one."""
    return None if role.menu is None else cast("list[dict[str, Any]]", json.loads(role.menu))


def _loaded(session: Session, key_id: str, *, revision: int | None = None, lock: bool = False) -> ApiKey:
    find(session, ApiKey, KIND, key_id, revision=revision, lock=lock)
    return session.scalars(sa.select(ApiKey).options(joinedload(ApiKey.role)).where(ApiKey.id == key_id)).one()


def role_named(session: Session, name: str) -> Role:
    """Return the role. Raises BadField."""
    row = session.scalar(sa.select(Role).where(Role.name == name))
    if row is None:
        raise BadField(pointer="/role", problem=f"no role {name}")
    return row
