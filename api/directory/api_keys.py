"""API keys over HTTP. A key's secret is answered once, when it is made; a key that is ended is refused at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.authentication import ensure_all_permitted
from api.directory.findings import Problem, Rules
from api.directory.resources import Content, Resource, routes
from api.directory.schemas import ApiKeyChanges, ApiKeyContents, ApiKeyCreated, ApiKeyShown
from api.directory.services import services_of
from api.routing import Call
from ledger.directory import access
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Customer, Role
from ledger.directory.roles import permissions_of

CUSTOMER_ROLE = "customer"


def customer_problem(content: Mapping[str, Any]) -> Problem | None:
    """Say so when a key with the role of customers has no customer."""
    if content["role"] == CUSTOMER_ROLE and content.get("customer_id") is None:
        return "customer_id", "a key with the role customer needs its customer"
    return None


def _listed(call: Call, query: ListQuery) -> Page:
    return access.listed(services_of(call).directory, query, customer_id=call.asker.customer_id)


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    directory = services_of(call).directory
    # Nobody gives away more than he has.
    ensure_all_permitted(call.asker, permissions_of(directory, [each["role"] for each in contents]))
    made = access.create_api_keys(directory, contents)
    return [{**shown, "key": secret} for shown, secret in made]


def _read(call: Call, key_id: str) -> dict[str, Any]:
    return access.read(services_of(call).directory, key_id)


def _change(call: Call, key_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    services = services_of(call)
    if changes.get("active"):
        key = access.read(services.directory, key_id)
        if key["active"]:
            # What is so already is nobody's gift, and must not undo what somebody else does at this moment.
            changes = {name: value for name, value in changes.items() if name != "active"}
        else:
            # A key that lives again is given away: whoever asks may know its secret.
            ensure_all_permitted(call.asker, permissions_of(services.directory, [key["role"]]))
    changed = access.change(services.directory, key_id, changes, revision=revision)
    services.principals.forget()
    return changed


def _delete(call: Call, key_id: str, revision: int | None) -> None:
    services = services_of(call)
    access.delete(services.directory, key_id, revision=revision)
    services.principals.forget()


RESOURCE = Resource(
    singular="api_key",
    plural="api_keys",
    path="/v1/api-keys",
    kind=access.KIND,
    may_read="api_keys.read",
    may_write="api_keys.write",
    may_delete="api_keys.write",
    listing=access.LISTING,
    listed=_listed,
    shown=ApiKeyShown(),
    created=ApiKeyCreated(),
    contents=ApiKeyContents,
    changes=ApiKeyChanges(partial=True),
    rules=Rules(kind=access.KIND, references={"role": Role.name, "customer_id": Customer.id}, also=customer_problem),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
    owner="customer_id",
)
ROUTES = routes(RESOURCE)
