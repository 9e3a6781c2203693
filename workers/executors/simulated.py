"""An executor that only pretends, for demonstrations.

What it says depends on the order and the time alone, so a restart loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.clock import now_us
from ledger.executor_settings import SIMULATED, validate_settings
from workers.executors.protocol import (
    CancellationRefused,
    Cancelled,
    CancelReport,
    Completed,
    ExecuteReport,
    Executing,
    ExecutorOrder,
    Failed,
    UnusableExecutor,
)

DEFAULT_DELAY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedExecutor:
    """Ends each order `delay_s` after its start.

    `fail_percent` of the orders fail, the others deliver `deliver_percent` of the quantity.
    """

    delay_s: float
    fail_percent: int
    deliver_percent: int
    timeout_s: float = 1.0

    def execute(self, order: ExecutorOrder, timeout_s: float) -> ExecuteReport:
        """Say how the order stands; executing it has no other effect."""
        remaining_s = self._remaining_s(order)
        if remaining_s > 0:
            return Executing(retry_after_s=remaining_s)
        if _lot(order.order_id) < self.fail_percent:
            return Failed(code="executor-failed", reason="the simulated executor was told to fail some orders")
        return Completed(delivered=order.quantity * self.deliver_percent // 100)

    def enquire(self, order: ExecutorOrder, timeout_s: float) -> ExecuteReport:
        """Say how the order stands."""
        return self.execute(order, timeout_s)

    def cancel(self, order: ExecutorOrder, timeout_s: float) -> CancelReport:
        """Take the order back while it has not ended."""
        return Cancelled(delivered=0) if self._remaining_s(order) > 0 else CancellationRefused()

    def _remaining_s(self, order: ExecutorOrder) -> float:
        return self.delay_s - (now_us() - order.started_at_us) / 1_000_000


def open_simulated(
    settings: Mapping[str, Any], *, timeout_s: float, call_s_max: float, allow_private: bool
) -> SimulatedExecutor:
    """Open the executor with a product's settings. Raises UnusableExecutor."""
    errors = validate_settings(SIMULATED, settings)
    if errors:
        raise UnusableExecutor(f"executor_settings{errors[0].pointer}: {errors[0].message}")
    return SimulatedExecutor(
        delay_s=float(settings.get("delay_s", DEFAULT_DELAY_S)),
        fail_percent=settings.get("fail_percent", 0),
        deliver_percent=settings.get("deliver_percent", 100),
    )


def _lot(order_id: str) -> int:
    """Return a number from 0 to 99 that is always the same for the order."""
    return int.from_bytes(sha256(order_id.encode()).digest()[:8], "big") % 100
