"""From checked request content to submissions.

One function per command, used by single routes, batches and imports alike.

Amounts become minor units here, by the account's currency; facts that the decision needs are gathered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from api.errors import FieldError, InvalidFields, PositionNotFound
from ledger.codec import decode
from ledger.commands import (
    CancelOrder,
    Command,
    Deduct,
    PlaceOrder,
    ProductTerms,
    Recharge,
    ResolveOrder,
    ReverseTransaction,
)
from ledger.errors import BadMoney
from ledger.events import DeductionPosted, RechargePosted, Recorded
from ledger.ids import new_id
from ledger.money import Currency, parse_amount
from ledger.submission import Submission


class Facts(Protocol):
    """Where facts come from."""

    def currency_of(self, account_id: str) -> Currency:
        """Return the account's currency."""

    def terms_of(self, sku: str) -> ProductTerms | None:
        """Return the product's terms today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who submits, and in which request."""

    actor: str
    correlation_id: str

    def submission(self, command: Command, key: str, detail: str, value: Any) -> Submission:
        """Wrap a command with one erasable detail, or none when its value is None."""
        return Submission(
            command=command,
            actor=self.actor,
            idempotency_key=key,
            correlation_id=self.correlation_id,
            details=None if value is None else {detail: value},
        )


def recharge(facts: Facts, origin: Origin, key: str, customer_id: str, content: Mapping[str, Any]) -> Submission:
    """Return the submission of a recharge. Raises InvalidFields for an amount that the currency does not have."""
    return _money(Recharge, facts, origin, key, customer_id, content)


def deduction(facts: Facts, origin: Origin, key: str, customer_id: str, content: Mapping[str, Any]) -> Submission:
    """Return the submission of a deduction. Raises InvalidFields for an amount that the currency does not have."""
    return _money(Deduct, facts, origin, key, customer_id, content)


def order(facts: Facts, origin: Origin, key: str, customer_id: str, content: Mapping[str, Any]) -> Submission:
    """Return the submission of an order, with a new id and today's terms."""
    command = PlaceOrder(
        account_id=customer_id,
        product=content["product"],
        quantity=content["quantity"],
        order_id=new_id("ord"),
        terms=facts.terms_of(content["product"]),
        reference=content.get("reference"),
    )
    return origin.submission(command, key, "params", content.get("params"))


def cancellation(origin: Origin, key: str, order_id: str, content: Mapping[str, Any]) -> Submission:
    """Return the submission of a cancellation."""
    return origin.submission(CancelOrder(order_id=order_id), key, "reason", content.get("reason"))


def resolution(origin: Origin, key: str, order_id: str, content: Mapping[str, Any]) -> Submission:
    """Return the submission of a person's decision on a parked order."""
    command = ResolveOrder(order_id=order_id, resolution=content["resolution"], delivered=content.get("delivered", 0))
    return origin.submission(command, key, "reason", content["reason"])


def reversal(origin: Origin, key: str, original: Recorded | None, position: int, reason: str) -> Submission:
    """Return the submission of a reversal of the event at the position. Raises PositionNotFound when there is none."""
    if original is None:
        raise PositionNotFound(position=position)
    event = decode(original.type, original.schema_version, original.data)
    signed = 0
    if isinstance(event, RechargePosted):
        signed = event.amount_minor
    elif isinstance(event, DeductionPosted):
        signed = -event.amount_minor
    command = ReverseTransaction(reverses_position=position, account_id=original.account_id, signed_amount_minor=signed)
    return origin.submission(command, key, "reason", reason)


def _money(
    kind: type[Recharge] | type[Deduct],
    facts: Facts,
    origin: Origin,
    key: str,
    customer_id: str,
    content: Mapping[str, Any],
) -> Submission:
    unit = facts.currency_of(customer_id)
    try:
        amount_minor = parse_amount(content["amount"], unit)
    except BadMoney as error:
        raise InvalidFields(errors=[FieldError(pointer="/amount", detail=error.problem)]) from None
    command = kind(
        account_id=customer_id, amount_minor=amount_minor, currency=unit.code, reference=content.get("reference")
    )
    return origin.submission(command, key, "memo", content.get("memo"))
