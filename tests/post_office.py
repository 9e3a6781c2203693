"""What the tests of webhooks work with: a real ledger and directory, a receiver, and couriers between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hook_receiver import HookReceiver
from ledger import log
from ledger.directory import customers, deliveries, listing, webhooks
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.webhooks.settings import WebhookSettings
from submissions import Desk
from workers.webhooks.courier import Courier

FAST = WebhookSettings(
    allow_private=True, timeout_s=1.0, backoff_s=0.05, backoff_max_s=0.2, lease_s=3.0, disable_after_s=60.0
)
"""The same rules with shorter times."""


@dataclass(slots=True)
class PostOffice:
    """A ledger with its directory, a receiver, and couriers on demand."""

    desk: Desk
    directory: Directory
    receiver: HookReceiver
    couriers: list[Courier] = field(default_factory=list)

    def customer(self, *, recharged_minor: int = 0, threshold: str | None = None) -> str:
        content = {"name": "王芳", "currency": "CNY", "low_balance_threshold": threshold}
        asker = Asker(actor="key:test", correlation_id="test")
        (made,) = customers.create(self.directory, self.desk.ledger, [content], asker)
        if recharged_minor:
            assert self.desk.recharge(made["id"], recharged_minor).error is None
        return str(made["id"])

    def head(self) -> int:
        with self.desk.engine.connect() as connection:
            return log.head(connection).position

    def subscribe(self, path: str = "/hook", *, types: Sequence[str] = (), **content: Any) -> str:
        """Subscribe at a path of the receiver from here on, and let it know the secret."""
        wanted = {"url": self.receiver.url(path), "event_types": list(types), **content}
        ((made, secret),) = webhooks.create(self.directory, [wanted], head=self.head())
        self.receiver.secrets[path] = secret
        return str(made["id"])

    def courier(self, settings: WebhookSettings = FAST) -> Courier:
        made = Courier(log_engine=self.desk.engine, directory_engine=self.directory.engine, settings=settings)
        self.couriers.append(made)
        return made

    def deliver_until(self, is_done: Callable[[], bool], *couriers: Courier, timeout_s: float = 20.0) -> None:
        """Run couriers until it is so."""
        used = couriers or (self.couriers[0] if self.couriers else self.courier(),)
        ends_at_s = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < ends_at_s, "not delivered in time"
            for each in used:
                each.advance(claiming=True)
                each.wait(0.01)

    def deliver_all(self, *webhook_ids: str, timeout_s: float = 20.0) -> None:
        """Deliver until nothing is left for these subscriptions."""
        self.deliver_until(lambda: all(self.lag(each) == 0 for each in webhook_ids), timeout_s=timeout_s)

    def read(self, webhook_id: str) -> dict[str, Any]:
        return webhooks.read(self.directory, webhook_id, head=self.head())

    def lag(self, webhook_id: str) -> int:
        return int(self.read(webhook_id)["lag_events"])

    def attempts(self, webhook_id: str) -> list[dict[str, Any]]:
        """Return the attempts, the first first."""
        query = listing.parse(deliveries.LISTING, {"limit": "200", "sort": "id"})
        return deliveries.listed(self.directory, webhook_id, query).data
