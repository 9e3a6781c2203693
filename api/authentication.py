"""Who is asking, may they, and is it theirs.

A principal comes from an API key (`Authorization: Bearer …`) or from whatever else the application registers as an
authenticator (sessions). A principal with a `customer_id` sees and changes that customer only: anything else answers
exactly as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from flask import Request

from api.errors import Forbidden, Unauthenticated
from ledger.errors import AccountNotFound


class Principal(Protocol):
    """What the API needs to know of who asks; ledger.directory.access has the class."""

    @property
    def id(self) -> str:
        """The actor under which commands are recorded, such as ``key:key_…``."""

    @property
    def role(self) -> str:
        """The role's name."""

    @property
    def permissions(self) -> frozenset[str]:
        """The role's permissions."""

    @property
    def customer_id(self) -> str | None:
        """The only customer it may see, None when it may see all."""

    @property
    def menu(self) -> Sequence[Mapping[str, Any]] | None:
        """Its role's own menu, None for the default one."""


Authenticator = Callable[[Request], Principal | None]
"""Returns the principal of a request that carries this kind of proof, None when it carries none.

Raises Unauthenticated for a bad one.
"""


def authenticate(request: Request, authenticators: Sequence[Authenticator]) -> Principal:
    """Return who asks. Raises Unauthenticated."""
    for authenticator in authenticators:
        principal = authenticator(request)
        if principal is not None:
            return principal
    raise Unauthenticated()


def bearer_token(request: Request) -> str | None:
    """Return the secret of the Authorization header, None without one. Raises Unauthenticated for another scheme."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated()
    return secret.strip()


def ensure_permitted(principal: Principal, permission: str) -> None:
    """Raise Forbidden unless the role has the permission."""
    if permission not in principal.permissions:
        raise Forbidden(permission=permission)


def ensure_all_permitted(principal: Principal, permissions: Iterable[str]) -> None:
    """Raise Forbidden for the first permission that the role lacks."""
    for permission in sorted(permissions):
        ensure_permitted(principal, permission)


def ensure_own(principal: Principal, customer_id: str) -> None:
    """Raise AccountNotFound, as for a customer that does not exist, unless the principal may see the customer."""
    if principal.customer_id is not None and principal.customer_id != customer_id:
        raise AccountNotFound(account_id=customer_id)
