"""Requests to change something: one class per command, with the facts that its decision needs.

Facts are gathered before the command queues and are not part of what the client asked for; `content` leaves them
out, so that a repeat of the same request has the same fingerprint whatever the price list says meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from ledger.pricing import Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductTerms:
    """What the directory says of a product when an order is placed; `currency` is the one its prices are in."""

    sku: str
    unit_price: str
    tiers: tuple[Tier, ...]
    quantity_min: int
    quantity_max: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount:
    """Open a customer's account."""

    KIND: ClassVar[str] = "open-account"
    account_id: str
    currency: str
    level_id: str | None = None
    discount_percent: str = "100"
    credit_limit_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLevel:
    """Give the account a level and its percentage."""

    KIND: ClassVar[str] = "change-level"
    account_id: str
    level_id: str | None
    discount_percent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCreditLimit:
    """Allow the account this much credit."""

    KIND: ClassVar[str] = "set-credit-limit"
    account_id: str
    credit_limit_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend:
    """Take no more deductions and orders."""

    KIND: ClassVar[str] = "suspend"
    account_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactivate:
    """Take deductions and orders again."""

    KIND: ClassVar[str] = "reactivate"
    account_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recharge:
    """Add money."""

    KIND: ClassVar[str] = "recharge"
    account_id: str
    amount_minor: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduct:
    """Take money."""

    KIND: ClassVar[str] = "deduction"
    account_id: str
    amount_minor: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseTransaction:
    """Undo the transaction at a position.

    Facts from that immutable event: `account_id`, and `signed_amount_minor`, what it did to the account (0: not
    reversible).
    """

    KIND: ClassVar[str] = "reversal"
    FACTS: ClassVar[frozenset[str]] = frozenset({"account_id", "signed_amount_minor"})
    reverses_position: int
    account_id: str
    signed_amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Place an order. Facts: the order's new id, and the product's terms (None: no such product on sale)."""

    KIND: ClassVar[str] = "order"
    FACTS: ClassVar[frozenset[str]] = frozenset({"order_id", "terms"})
    account_id: str
    product: str
    quantity: int
    order_id: str
    terms: ProductTerms | None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOrder:
    """Take the order for an attempt; `attempt` must be the next one."""

    KIND: ClassVar[str] = "start"
    order_id: str
    attempt: int
    executor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteOrder:
    """Record what the executor delivered in this attempt."""

    KIND: ClassVar[str] = "complete"
    order_id: str
    attempt: int
    delivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOrder:
    """Record that the executor will never deliver."""

    KIND: ClassVar[str] = "fail"
    order_id: str
    attempt: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel a placed order, or an executing one with the executor's confirmation for this attempt.

    Facts: `confirmed_attempt` and `delivered`, what the executor confirmed; None: nobody asked it.
    """

    KIND: ClassVar[str] = "cancellation"
    FACTS: ClassVar[frozenset[str]] = frozenset({"confirmed_attempt", "delivered"})
    order_id: str
    confirmed_attempt: int | None = None
    delivered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkOrder:
    """Leave the order to a person; `attempt` is the one that found the contradiction (0: never started)."""

    KIND: ClassVar[str] = "park"
    order_id: str
    attempt: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveOrder:
    """End a parked order: `resolution` is completed (with what was delivered), failed or cancelled."""

    KIND: ClassVar[str] = "resolution"
    order_id: str
    resolution: str
    delivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseCustomer:
    """Record an erasure."""

    KIND: ClassVar[str] = "erase-customer"
    account_id: str


AccountCommand = (
    OpenAccount
    | ChangeLevel
    | SetCreditLimit
    | Suspend
    | Reactivate
    | Recharge
    | Deduct
    | ReverseTransaction
    | EraseCustomer
)
OrderCommand = StartOrder | CompleteOrder | FailOrder | CancelOrder | ParkOrder | ResolveOrder
Command = AccountCommand | PlaceOrder | OrderCommand


def content(command_class: type[Command]) -> dict[str, str]:
    """Return what a command of this class asks for, facts left out: name in its JSON to name of the attribute."""
    facts: frozenset[str] = getattr(command_class, "FACTS", frozenset())
    return {each.name: each.name for each in fields(command_class) if each.name not in facts} | {"kind": "KIND"}
