"""What the agent, the courier and maintenance count."""

from __future__ import annotations

from ledger.figures import counter, gauge, histogram

CALLS = counter("executor_calls", "calls to executors, by what they came to", "call", "result")
CALL_S = histogram(
    "executor_call_seconds", "time of a call to an executor", "call", buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30)
)
IN_FLIGHT = gauge("executor_calls_in_flight", "calls to executors under way")
STARTED = counter("order_attempts", "attempts recorded as started")
PARKED = counter("orders_parked", "orders handed to a person, by the reason", "code")
PART_S = histogram("maintenance_seconds", "time of one look of a part of maintenance", "part")
PART_FAILED = counter("maintenance_failures", "looks of a part of maintenance that failed", "part")
WEBHOOK_S = histogram("webhook_seconds", "time of one delivery, its answer included", "outcome")
"""By `delivered` and `failed`."""
