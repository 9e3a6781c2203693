"""A client of the ledger's routes, with a customer who has a level and a product on sale."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from werkzeug.test import TestResponse

from directory_front import Front
from projections.context import Context
from projections.drain import drain_with
from projections.settings import ProjectionSettings
from projections.wake import PROJECTIONS

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Till:
    """An administrator in front of one customer at 90 % and one product at 0.10 apiece."""

    front: Front
    customer_id: str

    def get(self, path: str, **headers: str) -> TestResponse:
        path, _, query = path.partition("?")
        asked = dict(pair.split("=", 1) for pair in query.split("&")) if query else None
        return self.front.ask("GET", path, query=asked, **headers)

    def post(self, path: str, body: Any = None, *, key: str | None = None, dry_run: bool = False) -> TestResponse:
        query = {"dry_run": "true"} if dry_run else None
        return self.front.ask("POST", path, body or {}, query=query, Idempotency_Key=key or new_key())

    def recharge(self, amount: str = "100.00", *, key: str | None = None, **more: Any) -> TestResponse:
        return self.post(f"customers/{self.customer_id}/recharges", {"amount": amount, **more}, key=key)

    def deduct(self, amount: str, **more: Any) -> TestResponse:
        return self.post(f"customers/{self.customer_id}/deductions", {"amount": amount, **more})

    def place(self, quantity: int = 100, *, key: str | None = None, **more: Any) -> TestResponse:
        body = {"customer_id": self.customer_id, "product": "sms", "quantity": quantity, **more}
        return self.post("orders", body, key=key)

    def balance(self) -> tuple[str, str, str]:
        answer = self.get(f"customers/{self.customer_id}/balance")
        assert answer.status_code == 200, answer.text
        return answer.json["available"], answer.json["held"], answer.json["total"]

    def as_customer(self, *permissions: str) -> Front:
        return self.front.bound_to(self.customer_id, *permissions)

    def drain(self) -> None:
        """Bring the read models up to the log, as their workers would."""
        services = self.front.services
        use = Context(
            engine=services.engine,
            redis=services.redis,
            queue_redis=services.queue_redis,
            settings=ProjectionSettings(),
        )
        for name in PROJECTIONS:
            drain_with(use, name, linger_s=0)


def new_key() -> str:
    return f"key-{next(_NUMBERS)}"


def open_till(front: Front) -> Till:
    """Create the level, the product and the customer."""
    level = front.create("levels")
    front.create("products", min_quantity=1, max_quantity=1_000_000)
    return Till(front, front.create("customers", level_id=level["id"])["id"])
