"""The facts of the log: one class per event type, with its stored name and schema version as literals.

An event class holds exactly what is stored as the event's `data`; optional fields are left out when None. Who, when
and where in the log belong to the envelope, `Recorded`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened:
    """A customer's account exists from here on."""

    TYPE: ClassVar[str] = "account.opened"
    SCHEMA_VERSION: ClassVar[int] = 1
    currency: str
    discount_percent: str
    credit_limit_minor: int
    level_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLevelChanged:
    """The customer's level, or the level's percentage, changed."""

    TYPE: ClassVar[str] = "account.level_changed"
    SCHEMA_VERSION: ClassVar[int] = 1
    discount_percent: str
    level_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSuspended:
    """The account takes no deductions and no orders from here on."""

    TYPE: ClassVar[str] = "account.suspended"
    SCHEMA_VERSION: ClassVar[int] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReactivated:
    """The account is open again."""

    TYPE: ClassVar[str] = "account.reactivated"
    SCHEMA_VERSION: ClassVar[int] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCreditLimitChanged:
    """How far available money may go below zero."""

    TYPE: ClassVar[str] = "account.credit_limit_changed"
    SCHEMA_VERSION: ClassVar[int] = 1
    credit_limit_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RechargePosted:
    """Money added to the account."""

    TYPE: ClassVar[str] = "recharge.posted"
    SCHEMA_VERSION: ClassVar[int] = 1
    amount_minor: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeductionPosted:
    """Money taken from the account."""

    TYPE: ClassVar[str] = "deduction.posted"
    SCHEMA_VERSION: ClassVar[int] = 1
    amount_minor: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionReversed:
    """An earlier recharge (`amount_minor` < 0 for the customer) or deduction (> 0) undone."""

    TYPE: ClassVar[str] = "transaction.reversed"
    SCHEMA_VERSION: ClassVar[int] = 1
    reverses_position: int
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An order with its price as agreed; `amount_minor` is held."""

    TYPE: ClassVar[str] = "order.placed"
    SCHEMA_VERSION: ClassVar[int] = 1
    product: str
    quantity: int
    unit_price: str
    list_amount_minor: int
    discount_percent: str
    amount_minor: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStarted:
    """The intent to call the executor, committed before any call of this attempt."""

    TYPE: ClassVar[str] = "order.started"
    SCHEMA_VERSION: ClassVar[int] = 1
    attempt: int
    executor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCompleted:
    """The executor delivered; what was delivered is captured, the rest of the hold released."""

    TYPE: ClassVar[str] = "order.completed"
    SCHEMA_VERSION: ClassVar[int] = 1
    delivered: int
    captured_minor: int
    released_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFailed:
    """The executor did not deliver and never will; the hold is released."""

    TYPE: ClassVar[str] = "order.failed"
    SCHEMA_VERSION: ClassVar[int] = 1
    code: str
    released_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled:
    """The customer took the order back; after a start only with the executor's word, who may have delivered a part."""

    TYPE: ClassVar[str] = "order.cancelled"
    SCHEMA_VERSION: ClassVar[int] = 1
    delivered: int
    captured_minor: int
    released_minor: int
    confirmed_by_executor: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderParked:
    """The order waits for a person; the hold stays."""

    TYPE: ClassVar[str] = "order.parked"
    SCHEMA_VERSION: ClassVar[int] = 1
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResolved:
    """A person decided a parked order: `resolution` is completed, failed or cancelled."""

    TYPE: ClassVar[str] = "order.resolved"
    SCHEMA_VERSION: ClassVar[int] = 1
    resolution: str
    delivered: int
    captured_minor: int
    released_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerErased:
    """The customer's personal data were removed everywhere outside the log."""

    TYPE: ClassVar[str] = "customer.erased"
    SCHEMA_VERSION: ClassVar[int] = 1


AccountEvent = (
    AccountOpened
    | AccountLevelChanged
    | AccountSuspended
    | AccountReactivated
    | AccountCreditLimitChanged
    | CustomerErased
)
MoneyEvent = RechargePosted | DeductionPosted | TransactionReversed
OrderEvent = OrderPlaced | OrderStarted | OrderCompleted | OrderFailed | OrderCancelled | OrderParked | OrderResolved
Event = AccountEvent | MoneyEvent | OrderEvent

EVENT_CLASSES: dict[str, type[Event]] = {
    each.TYPE: each
    for each in (
        AccountOpened,
        AccountLevelChanged,
        AccountSuspended,
        AccountReactivated,
        AccountCreditLimitChanged,
        RechargePosted,
        DeductionPosted,
        TransactionReversed,
        OrderPlaced,
        OrderStarted,
        OrderCompleted,
        OrderFailed,
        OrderCancelled,
        OrderParked,
        OrderResolved,
        CustomerErased,
    )
}
"""Every event type by its stored name."""


class Recorded(NamedTuple):
    """One row of the log: the envelope round an event, its fields in the order of the table's columns.

    `data` and `postings` are the stored bytes.
    `available_minor` and `held_minor` are the account's balance after the event. `recorded_at_us`: microseconds
    since 1970, UTC.
    """

    position: int
    event_id: bytes
    account_id: str
    version: int
    type: str
    schema_version: int
    order_id: str | None
    actor: str
    idempotency_key: bytes
    correlation_id: str
    causation_id: str | None
    recorded_at_us: int
    available_minor: int
    held_minor: int
    details_hash: bytes | None
    data: bytes
    postings: bytes
    leaf_hash: bytes
