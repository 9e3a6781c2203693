"""The commands of a batch or an import as documents: what each is understood as, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from marshmallow import Schema

from api import submissions
from api.authentication import Principal, ensure_own, ensure_permitted
from api.directory.fields import StrictSchema, Token
from api.errors import FieldError, InvalidFields
from api.routing import load
from api.schemas import CancellationBody, IdempotencyKey, MoneyBody, OrderBody
from api.services import Services
from api.submissions import Facts, Origin
from ledger.commands import CancelOrder
from ledger.errors import AccountNotFound, LedgerError, OrderNotFound, ReadUnavailable
from ledger.ids import is_token
from ledger.reading import read
from ledger.state import orders_by_id
from ledger.submission import Submission


class _Key(StrictSchema):
    """What every command of a batch has."""

    idempotency_key = IdempotencyKey(required=True)


class _BatchMoney(MoneyBody, _Key):
    """A recharge or a deduction of a batch."""

    customer_id = Token(40, required=True)


class _BatchOrder(OrderBody, _Key):
    """An order of a batch."""


class _BatchCancellation(CancellationBody, _Key):
    """A cancellation of a batch."""

    order_id = Token(40, required=True)


SCHEMAS: dict[str, tuple[Schema, str]] = {
    "recharge": (_BatchMoney(), "recharges.post"),
    "deduction": (_BatchMoney(), "deductions.post"),
    "order": (_BatchOrder(), "orders.place"),
    "cancellation": (_BatchCancellation(), "orders.cancel"),
}
"""The commands of a batch: the schema and the permission of each."""
_BUILD: dict[str, Callable[..., Submission]] = {
    "recharge": submissions.recharge,
    "deduction": submissions.deduction,
    "order": submissions.order,
}

Item = Submission | LedgerError


def understand(services: Services, principal: Principal, who: Origin, documents: Sequence[Any]) -> list[Item]:
    """Return a submission for each command, or what is wrong with it, in order; a document may be an error already.

    Raises ReadUnavailable.
    """
    services.currencies.learn(_accounts_named(documents))
    items: list[Item] = []
    for document in documents:
        try:
            items.append(_submission(services, principal, who, document))
        except ReadUnavailable:
            # What comes behind it would be recorded without it.
            raise
        except LedgerError as error:
            items.append(error)
    return _own_cancellations(services, principal, items)


def _accounts_named(documents: Sequence[Any]) -> Iterator[str]:
    for each in documents:
        account_id = each.get("customer_id") if type(each) is dict else None
        if type(account_id) is str and is_token(account_id):
            yield account_id


def _submission(facts: Facts, principal: Principal, who: Origin, document: Any) -> Submission:
    if isinstance(document, LedgerError):
        raise document
    if not isinstance(document, dict):
        raise InvalidFields(errors=[FieldError(pointer="", detail="expected an object")])
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in SCHEMAS:
        raise InvalidFields(errors=[FieldError(pointer="/type", detail=f"expected one of {', '.join(SCHEMAS)}")])
    schema, permission = SCHEMAS[kind]
    fields = dict(document)
    del fields["type"]
    content: Mapping[str, Any] = load(schema, fields)
    ensure_permitted(principal, permission)
    key = content["idempotency_key"]
    if kind == "cancellation":
        return submissions.cancellation(who, key, content["order_id"], content)
    customer_id = content.get("customer_id", principal.customer_id)
    if customer_id is None:
        raise InvalidFields(errors=[FieldError(pointer="/customer_id", detail="this field is required")])
    ensure_own(principal, customer_id)
    return _BUILD[kind](facts, who, key, customer_id, content)


def _own_cancellations(services: Services, principal: Principal, items: list[Item]) -> list[Item]:
    """Replace cancellations of orders that the principal must not see by the error they would get alone."""
    if principal.customer_id is None:
        return items
    wanted = {
        index: item.command.order_id
        for index, item in enumerate(items)
        if isinstance(item, Submission) and isinstance(item.command, CancelOrder)
    }
    found = read(services.engine, lambda connection: orders_by_id(connection, list(wanted.values()))) if wanted else {}
    for index, order_id in wanted.items():
        order = found.get(order_id)
        try:
            ensure_own(principal, "" if order is None else order.account_id)
        except AccountNotFound:
            items[index] = OrderNotFound(order_id=order_id)
    return items
