"""Customers over HTTP. What is changed of a customer reaches its account before the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.directory.findings import Problem, Rules
from api.directory.resources import Content, Resource, routes
from api.directory.schemas import CustomerChanges, CustomerContents, CustomerShown
from api.directory.services import asker_of, services_of
from api.errors import FieldError, InvalidFields
from api.routing import Call
from ledger.directory import customers
from ledger.directory.listing import ListQuery, Page
from ledger.directory.models import Level
from ledger.errors import BadMoney

MONEY = ("credit_limit", "low_balance_threshold")


def money_problem(content: Mapping[str, Any]) -> Problem | None:
    """Say what is wrong with the credit limit or the threshold in the customer's currency."""
    for name in MONEY:
        try:
            customers.credit_limit(content.get(name) or "0", content["currency"])
        except BadMoney as error:
            return name, error.problem
    return None


def _listed(call: Call, query: ListQuery) -> Page:
    return customers.listed(services_of(call).directory, query, customer_id=call.asker.customer_id)


def _create(call: Call, contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    services = services_of(call)
    return customers.create(services.directory, services.ledger, contents, asker_of(call))


def _read(call: Call, customer_id: str) -> dict[str, Any]:
    return customers.read(services_of(call).directory, customer_id)


def _change(call: Call, customer_id: str, changes: Content, revision: int | None) -> dict[str, Any]:
    services = services_of(call)
    try:
        return customers.change(
            services.directory, services.ledger, customer_id, changes, asker_of(call), revision=revision
        )
    except BadMoney as error:
        # Only the customer's row says which currency the limit is in.
        raise InvalidFields(errors=[FieldError(pointer="/credit_limit", detail=error.problem)]) from None


def _delete(call: Call, customer_id: str, revision: int | None) -> dict[str, Any] | None:
    services = services_of(call)
    account = services.ledger.accounts([customer_id]).get(customer_id)
    is_gone = customers.delete(
        services.directory, services.ledger, customer_id, account, asker_of(call), revision=revision
    )
    services.principals.forget()
    with customers.already_saved():
        return None if is_gone else customers.read(services.directory, customer_id)


RESOURCE = Resource(
    singular="customer",
    plural="customers",
    path="/v1/customers",
    kind=customers.KIND,
    may_read="customers.read",
    may_write="customers.write",
    may_delete="customers.delete",
    listing=customers.LISTING,
    listed=_listed,
    shown=CustomerShown(),
    created=CustomerShown(),
    contents=CustomerContents,
    changes=CustomerChanges(partial=True),
    rules=Rules(kind=customers.KIND, references={"level_id": Level.id}, also=money_problem),
    create=_create,
    read=_read,
    change=_change,
    delete=_delete,
    has_currency=True,
    owner="id",
)
ROUTES = routes(RESOURCE)
