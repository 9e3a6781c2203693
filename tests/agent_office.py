"""What the agent's tests work with: a real ledger, a real HTTP executor, and runners between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from executor_stub import ExecutorStub
from ledger import log, state
from ledger.clock import now_us
from ledger.codec import canonical_json
from ledger.ids import new_id
from ledger.orders import TERMINAL, Order
from ledger.schema import cancellation_requests, claims
from ledger.submission import key_digest
from submissions import Desk
from workers.runner import Runner
from workers.settings import WorkerSettings

FAST = WorkerSettings(
    executor_allow_private=True,
    executor_timeout_s=1.0,
    lease_s=6.5,
    executor_backoff_s=0.05,
    executor_backoff_max_s=0.2,
    executor_poll_s=0.05,
    executor_poll_max_s=0.1,
)
"""The same rules with shorter times: a call has at most 1 s."""


@dataclass(slots=True)
class Office:
    """A ledger with one rich customer, a product sold through the stub, and runners on demand."""

    desk: Desk
    stub: ExecutorStub
    account_id: str
    product_settings: dict[str, Any]
    executor_name: str | None = "http"
    runners: list[Runner] = field(default_factory=list)

    def executor_of(self, product: str) -> tuple[str, Mapping[str, Any]] | None:
        return None if self.executor_name is None else (self.executor_name, self.product_settings)

    def runner(self, settings: WorkerSettings = FAST) -> Runner:
        made = Runner(engine=self.desk.engine, ledger=self.desk.ledger, executor_of=self.executor_of, settings=settings)
        self.runners.append(made)
        return made

    def place(self, quantity: int = 100, **more: Any) -> str:
        outcome = self.desk.place(self.account_id, quantity, **more)
        assert outcome.error is None
        assert outcome.order is not None
        return outcome.order.order_id

    def order(self, order_id: str) -> Order:
        with self.desk.engine.connect() as connection:
            order = state.order(connection, order_id)
        assert order is not None
        return order

    def events(self, order_id: str) -> list[str]:
        with self.desk.engine.connect() as connection:
            return [event.type for event in log.events_of_order(connection, order_id)]

    def claim(self, order_id: str) -> Any:
        with self.desk.engine.connect() as connection:
            return connection.execute(sa.select(claims).where(claims.c.order_id == order_id)).one_or_none()

    def work_until(self, is_done: Callable[[], bool], *runners: Runner, timeout_s: float = 20.0) -> None:
        ends_at_s = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < ends_at_s, "not done in time"
            for runner in runners:
                runner.work(0.1)

    def work(self, *order_ids: str, runner: Runner | None = None, timeout_s: float = 20.0) -> list[Order]:
        """Run until the orders have ended or wait for a person."""
        statuses = TERMINAL | {"needs_review"}
        worker = runner or self.runner()
        self.work_until(
            lambda: all(self.order(each).status in statuses for each in order_ids), worker, timeout_s=timeout_s
        )
        return [self.order(each) for each in order_ids]

    def expire_leases(self) -> None:
        """Let the time of every lease be over, as if its runner had not come back."""
        with self.desk.engine.execution_options(write=True).begin() as connection:
            connection.execute(sa.update(claims).where(claims.c.runner != "").values(lease_until_us=1, due_at_us=1))

    def request_cancellation(
        self, order_id: str, key: str | None = None, reason: str | None = "changed my mind"
    ) -> str:
        """Ask as the API does, and return the idempotency key."""
        key = key or new_id("cancel")
        row = {
            "key_digest": key_digest("key:test", key),
            "order_id": order_id,
            "actor": "key:test",
            "idempotency_key": key.encode(),
            "correlation_id": "test",
            "details": None if reason is None else canonical_json({"reason": reason}),
            "requested_at_us": now_us(),
        }
        with self.desk.engine.execution_options(write=True).begin() as connection:
            connection.execute(sa.insert(cancellation_requests).values(row))
        return key

    def outcome(self, key: str) -> Any:
        with self.desk.engine.connect() as connection:
            return state.stored_outcome(connection, "key:test", key)
