"""What a client asks the ledger to do, as values: for batches and streams, and behind the client's methods.

A command without a key gets one when it is made, so that whoever keeps the command can repeat it safely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from orderledger.client.amounts import amount_text
from orderledger.client.keys import ensure_key, new_key

Amount = Decimal | str | int
"""In major units; a float is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Money:
    customer_id: str
    amount: Amount
    reference: str | None = None
    memo: str | None = None
    key: str = field(default_factory=new_key)

    def __post_init__(self) -> None:
        ensure_key(self.key)
        amount_text(self.amount)

    def body(self) -> dict[str, Any]:
        """Return what is sent besides path and key."""
        return _given(amount=amount_text(self.amount), reference=self.reference, memo=self.memo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recharge(_Money):
    """Add money to a customer's account."""

    def path(self) -> str:
        """Return the route of this command alone."""
        return f"/v1/customers/{quote(self.customer_id, safe='')}/recharges"

    def line(self) -> dict[str, Any]:
        """Return this command as part of a batch."""
        return {"type": "recharge", "idempotency_key": self.key, "customer_id": self.customer_id, **self.body()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduct(_Money):
    """Take money from a customer's account."""

    def path(self) -> str:
        """Return the route of this command alone."""
        return f"/v1/customers/{quote(self.customer_id, safe='')}/deductions"

    def line(self) -> dict[str, Any]:
        """Return this command as part of a batch."""
        return {"type": "deduction", "idempotency_key": self.key, "customer_id": self.customer_id, **self.body()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Place an order of a product, named by its sku; a key that is bound to a customer may leave the customer out."""

    product: str
    quantity: int
    customer_id: str | None = None
    params: Mapping[str, Any] | None = None
    reference: str | None = None
    key: str = field(default_factory=new_key)

    def __post_init__(self) -> None:
        ensure_key(self.key)

    def path(self) -> str:
        """Return the route of this command alone."""
        return "/v1/orders"

    def body(self) -> dict[str, Any]:
        """Return what is sent besides path and key."""
        params = None if self.params is None else dict(self.params)
        return {
            "product": self.product,
            "quantity": self.quantity,
            **_given(customer_id=self.customer_id, params=params, reference=self.reference),
        }

    def line(self) -> dict[str, Any]:
        """Return this command as part of a batch."""
        return {"type": "order", "idempotency_key": self.key, **self.body()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Cancel an order."""

    order_id: str
    reason: str | None = None
    key: str = field(default_factory=new_key)

    def __post_init__(self) -> None:
        ensure_key(self.key)

    def path(self) -> str:
        """Return the route of this command alone."""
        return f"/v1/orders/{quote(self.order_id, safe='')}/cancellation"

    def body(self) -> dict[str, Any]:
        """Return what is sent besides path and key."""
        return _given(reason=self.reason)

    def line(self) -> dict[str, Any]:
        """Return this command as part of a batch."""
        return {"type": "cancellation", "idempotency_key": self.key, "order_id": self.order_id, **self.body()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse:
    """Reverse a recharge or a deduction, named by its position; not for batches."""

    position: int
    reason: str
    key: str = field(default_factory=new_key)

    def __post_init__(self) -> None:
        ensure_key(self.key)

    def path(self) -> str:
        """Return the route of this command alone."""
        return f"/v1/transactions/{self.position}/reversal"

    def body(self) -> dict[str, Any]:
        """Return what is sent besides path and key."""
        return {"reason": self.reason}


Command = Recharge | Deduct | PlaceOrder | Cancel
"""What a batch may hold."""


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
