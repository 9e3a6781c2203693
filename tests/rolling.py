"""A mixed load while processes are restarted, and what it came to."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from orderledger.client import Client, Recharge
from running_service import Client as PlainClient

QUICK = {"executor": "simulated", "executor_settings": {"delay_s": 0.05}}


@dataclass(slots=True)
class Tally:
    """What clients saw: statuses, failures of connections, the longest request, and the positions they were told."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    positions: list[int] = field(default_factory=list)
    order_ids: list[str] = field(default_factory=list)


@contextmanager
def load(workers: list[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Run workers until the block ends; each gets the event that ends it."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for work in workers]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join()


def plain_worker(client: PlainClient, customer_id: str, seed: int, tally: Tally) -> Callable[[threading.Event], None]:
    """A client that repeats nothing: what it sees is what came."""

    def work(stop: threading.Event) -> None:
        chance = random.Random(seed)
        number = 0
        while not stop.is_set():
            number += 1
            started_s = time.monotonic()
            try:
                answer = _one(client, customer_id, chance.random(), f"{seed}-{number}")
            except Exception as error:  # noqa: BLE001 - whatever it is, a client saw it
                tally.failures.append(f"{type(error).__name__}: {error}")
                continue
            finally:
                tally.longest_s = max(tally.longest_s, time.monotonic() - started_s)
            tally.statuses[answer.status] += 1
            if answer.status == 201 and "position" in answer.body:
                tally.positions.append(answer.body["position"])
                if "order" in answer.body:
                    tally.order_ids.append(answer.body["order"]["id"])

    return work


def _one(client: PlainClient, customer_id: str, kind: float, key: str) -> Any:
    if kind < 0.4:
        return client.post(f"/v1/customers/{customer_id}/recharges", {"amount": "1.00"}, key=f"r-{key}")
    if kind < 0.6:
        order = {"customer_id": customer_id, "product": "quick", "quantity": 1}
        return client.post("/v1/orders", order, key=f"o-{key}")
    if kind < 0.7:
        line = {"type": "recharge", "idempotency_key": f"b-{key}", "customer_id": customer_id, "amount": "1.00"}
        return client.post("/v1/batches", {"atomic": False, "commands": [line]}, key=f"b-{key}")
    if kind < 0.85:
        return client.get(f"/v1/customers/{customer_id}/balance")
    if kind < 0.95:
        return client.get("/v1/events?limit=5")
    return client.get(f"/v1/orders?customer_id={customer_id}&limit=5")


def client_worker(ledger: Client, customer_id: str, tally: Tally) -> Callable[[threading.Event], None]:
    """A program with the client of ours: it must never see an error."""

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            started_s = time.monotonic()
            try:
                posted = ledger.recharge(customer_id, Decimal("1.00"))
                placed = ledger.place_order("quick", 1, customer_id=customer_id)
                results = list(ledger.stream(Recharge(customer_id=customer_id, amount="1.00") for _ in range(3)))
                assert ledger.balance(customer_id).position >= placed.position
            except Exception as error:  # noqa: BLE001 - whatever it is, a program saw it
                tally.failures.append(f"{type(error).__name__}: {error}")
                continue
            finally:
                tally.longest_s = max(tally.longest_s, (time.monotonic() - started_s) / 4)
            assert placed.order is not None
            tally.order_ids.append(placed.order.id)
            posted_of = [each.posted.position for each in results if each.posted is not None]
            tally.positions += [posted.position, placed.position, *posted_of]

    return work


def lost_and_doubled(engine: sa.Engine, tally: Tally) -> tuple[int, int]:
    """Return how many positions that clients were told are not in the log, and how many keys have two effects."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT position, idempotency_key FROM events WHERE type IN ('recharge.posted', 'order.placed')"
        ).all()
    there = {row[0] for row in rows}
    keys = Counter(row[1] for row in rows)
    return sum(each not in there for each in tally.positions), sum(count > 1 for count in keys.values())
