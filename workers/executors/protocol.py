"""What an executor is: three calls about one order, each answered by a report.

An executor never raises for what the outside system does or fails to do: whatever is not plainly one of the other
reports is Unknown. So is a report whose parts have not the form that docs/executor-protocol.md gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOrder:
    """What an executor is told of an order: `amount` is a decimal in major units.

    `started_at_us` is the first attempt's time; `correlation_id` the request that placed the order.
    """

    order_id: str
    product: str
    quantity: int
    params: Any
    amount: str
    currency: str
    reference: str | None
    started_at_us: int
    correlation_id: str = ""

    def body(self) -> dict[str, Any]:
        """Return the call's body; the same for every repeat."""
        return {
            "order_id": self.order_id,
            "product": self.product,
            "quantity": self.quantity,
            "params": self.params,
            "amount": self.amount,
            "currency": self.currency,
            "reference": self.reference,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Done: this many were delivered, at most the ordered quantity."""

    delivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Not done and never will be; `reason` is the executor's own text."""

    code: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Executing:
    """Accepted, not ended; ask again."""

    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """Cancelled after this many were delivered; nothing more will be."""

    delivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellationRefused:
    """The executor does not take the order back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKnown:
    """The executor has never seen the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The call may or may not have had an effect; `code` says why nothing is known."""

    code: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What the executor says cannot be true; a person must look."""

    code: str


ExecuteReport = Completed | Failed | Executing | Cancelled | NotKnown | Unknown | Contradiction
CancelReport = Cancelled | CancellationRefused | NotKnown | Unknown | Contradiction


class Executor(Protocol):
    """The adapter to one outside system. Its methods are called from several threads, at most one at a time for one
    order.

    A call ends within `timeout_s`.
    """

    @property
    def timeout_s(self) -> float:
        """The longest that one call takes, in seconds."""

    def execute(self, order: ExecutorOrder, timeout_s: float) -> ExecuteReport:
        """Ask to execute the order, under its id as the idempotency key; also repeats."""

    def enquire(self, order: ExecutorOrder, timeout_s: float) -> ExecuteReport:
        """Ask what became of the order, without any effect."""

    def cancel(self, order: ExecutorOrder, timeout_s: float) -> CancelReport:
        """Ask to take the order back."""


class ExecutorFactory(Protocol):
    """What an entry point of the group ``orderledger.executors`` names."""

    def __call__(
        self, settings: Mapping[str, Any], *, timeout_s: float, call_s_max: float, allow_private: bool
    ) -> Executor:
        """Open an executor with a product's settings. Raises UnusableExecutor."""


class UnusableExecutor(Exception):
    """The executor cannot be used as the product configures it; the text says why."""
