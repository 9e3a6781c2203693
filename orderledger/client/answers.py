"""What the ledger answers, as values: amounts are decimals, times are aware. Fields that are new to this client are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from orderledger.client.errors import ClientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """An account's money; `version` and `position` are those of the event that led to it."""

    available: Decimal
    held: Decimal
    total: Decimal
    currency: str
    version: int
    position: int

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Balance:
        """Read an answer's balance."""
        return cls(
            available=Decimal(document["available"]),
            held=Decimal(document["held"]),
            total=Decimal(document["total"]),
            currency=document["currency"],
            version=document["version"],
            position=document["position"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order. `params` and `events` are there when it was read by its id, name and times when it was searched for."""

    id: str
    customer_id: str
    status: str
    product: str
    quantity: int
    unit_price: Decimal
    list_amount: Decimal
    discount_percent: Decimal
    amount: Decimal
    currency: str
    reference: str | None
    attempt: int
    delivered: int
    captured: Decimal
    released: Decimal
    code: str | None
    placed_position: int
    position: int
    customer_name: str | None = None
    placed_at: datetime | None = None
    updated_at: datetime | None = None
    params: Mapping[str, Any] | None = None
    events: tuple[Event, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Order:
        """Read an answer's order."""
        return cls(
            **_plain(document, _ORDER_FIELDS),
            **_decimals(document, _ORDER_DECIMALS),
            customer_name=document.get("customer_name"),
            placed_at=_moment(document.get("placed_at")),
            updated_at=_moment(document.get("updated_at")),
            params=document.get("params"),
            events=tuple(Event.of(each) for each in document.get("events", ())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a command led to.

    `type` is None when nothing had to happen. `replayed`: this key had been answered before. A dry run's position is the
    one that it would have had.
    """

    position: int
    type: str | None
    key: str
    replayed: bool
    recorded_at: datetime | None
    customer_id: str | None
    amount: Decimal | None
    currency: str | None
    reference: str | None
    memo: str | None
    balance: Balance | None
    order: Order | None

    @classmethod
    def of(cls, document: Mapping[str, Any], *, key: str, replayed: bool) -> Posted:
        """Read a command's answer."""
        found = document.get("amount")
        return cls(
            position=document["position"],
            type=document["type"],
            key=key,
            replayed=replayed,
            recorded_at=_moment(document.get("recorded_at")),
            customer_id=document.get("customer_id"),
            amount=None if found is None else Decimal(found),
            currency=document.get("currency"),
            reference=document.get("reference"),
            memo=document.get("memo"),
            balance=Balance.of(document["balance"]) if "balance" in document else None,
            order=Order.of(document["order"]) if "order" in document else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What one command of a batch led to: `posted`, or `error`, or neither while an executor is asked to cancel."""

    key: str
    status: int
    posted: Posted | None
    error: ClientError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What moved money on an account, with the balance after it."""

    position: int
    type: str
    recorded_at: datetime
    customer_id: str
    customer_name: str | None
    order_id: str | None
    amount: Decimal
    currency: str
    reference: str | None
    available_change: Decimal
    held_change: Decimal
    reverses_position: int | None
    reversed_by: int | None
    balance: Balance

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Transaction:
        """Read a row of a search."""
        names = ("position", "type", "customer_id", "currency")
        optional = ("customer_name", "order_id", "reference", "reverses_position", "reversed_by")
        return cls(
            **_plain(document, (*names, *optional)),
            **_decimals(document, ("amount", "available_change", "held_change")),
            recorded_at=datetime.fromisoformat(document["recorded_at"]),
            balance=Balance.of(document["balance"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """A line of a statement: `change` is of the total; available, held and total are as after it."""

    position: int
    recorded_at: datetime
    type: str
    order_id: str | None
    reference: str | None
    change: Decimal
    available: Decimal
    held: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An account's statement: opening and closing are totals."""

    customer_id: str
    currency: str
    opening: Decimal
    lines: tuple[StatementLine, ...]
    closing: Decimal

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Statement:
        """Read a statement."""
        return cls(
            customer_id=document["customer_id"],
            currency=document["currency"],
            opening=Decimal(document["opening"]),
            lines=tuple(
                StatementLine(
                    **_plain(each, ("position", "type", "order_id", "reference")),
                    **_decimals(each, ("change", "available", "held", "total")),
                    recorded_at=datetime.fromisoformat(each["recorded_at"]),
                )
                for each in document["lines"]
            ),
            closing=Decimal(document["closing"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the log. `data` and `postings` are the stored JSON: amounts in minor units, whole numbers."""

    position: int
    event_id: str
    account_id: str
    version: int
    type: str
    schema_version: int
    order_id: str | None
    actor: str
    idempotency_key: str
    correlation_id: str
    recorded_at: datetime
    available_minor: int
    held_minor: int
    data: Mapping[str, Any]
    postings: tuple[Mapping[str, Any], ...]
    leaf_hash: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Event:
        """Read an event of the feed."""
        return cls(
            **_plain(document, _EVENT_FIELDS),
            recorded_at=datetime.fromisoformat(document["recorded_at"]),
            postings=tuple(document["postings"]),
        )


_ORDER_FIELDS = (
    "id", "customer_id", "status", "product", "quantity", "currency", "reference", "attempt", "delivered", "code",
    "placed_position", "position",
)  # fmt: skip
_ORDER_DECIMALS = ("unit_price", "list_amount", "discount_percent", "amount", "captured", "released")
_EVENT_FIELDS = (
    "position", "event_id", "account_id", "version", "type", "schema_version", "order_id", "actor", "idempotency_key",
    "correlation_id", "available_minor", "held_minor", "data", "leaf_hash",
)  # fmt: skip


def _plain(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: document.get(name) for name in names}


def _decimals(document: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: Decimal(document[name]) for name in names}


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
