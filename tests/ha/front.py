"""API processes and workers in front of a cluster, and clients that repeat until they know."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import urllib3

from ledger.ids import new_id
from running_service import Answer, Client, Service
from submissions import prove

CUSTOMERS = 40
SETTLE_S_MAX = 120.0
PAUSE_S = 0.1


class ApiProcess(Service):
    """One API process without workers."""

    def __init__(self, environment: Mapping[str, str], *, log: Path | None = None) -> None:
        super().__init__(environment, log=log)
        self._commands = {"api": self._commands["api"]}


@contextmanager
def front(environments: Sequence[Mapping[str, str]], *, workers: bool, log: Path) -> Iterator[list[Service]]:
    """Migrate, then run an API process for each environment, the first one with workers if wanted."""
    services: list[Service] = [
        (Service if workers and not number else ApiProcess)(each, log=log) for number, each in enumerate(environments)
    ]
    services[0].run("db", "upgrade")
    try:
        for service in services:
            service.start()
        yield services
    finally:
        for service in services:
            service.stop()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a client sent, and the definite answer to it."""

    path: str
    body: Any
    key: str
    answer: Answer
    at_s: float


@dataclass(slots=True)
class Load:
    """Clients that send mixed commands, each to its end: repeated under its key at one API process after the other."""

    clients: list[Client]
    customers: list[str]
    product: str
    threads: int = 8
    settled: list[Acknowledged] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    """How often which answer came that was not definite: 503, or a lost connection."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)
    _run: str = field(default_factory=lambda: new_id("run"))

    def begin(self) -> None:
        """Start the clients."""
        self._running = [threading.Thread(target=self._work, args=(each,)) for each in range(self.threads)]
        for thread in self._running:
            thread.start()

    def end(self) -> None:
        """Let every client finish what it has sent, and stop."""
        self._stop.set()
        for thread in self._running:
            thread.join(SETTLE_S_MAX + 10)
            assert not thread.is_alive(), "a command was never settled"

    @property
    def acknowledged(self) -> list[Acknowledged]:
        """The commands that were answered 2xx."""
        return [each for each in self.settled if each.answer.status == 201]

    def silence_after(self, fault_at_s: float) -> float:
        """Return the longest time without any acknowledgement from the fault on."""
        times = sorted(each.at_s for each in self.acknowledged if each.at_s > fault_at_s)
        return max((after - before for before, after in zip([fault_at_s, *times], times, strict=False)), default=inf)

    def _work(self, seed: int) -> None:
        chance, orders, number = random.Random(f"{self._run}{seed}"), [], 0
        while not self._stop.is_set():
            number += 1
            customer_id, kind = chance.choice(self.customers), chance.random()
            path, body = f"/v1/customers/{customer_id}/deductions", {"amount": f"{chance.randint(1, 900) / 100:.2f}"}
            if kind < 0.4:
                path = f"/v1/customers/{customer_id}/recharges"
            elif kind < 0.65:
                wanted = {"customer_id": customer_id, "product": self.product, "quantity": chance.randint(1, 99)}
                path, body = "/v1/orders", wanted
            elif kind < 0.75 and orders:
                path, body = f"/v1/orders/{chance.choice(orders)}/cancellation", {}
            done = self._settle(path, body, f"{self._run}-{seed}-{number}", seed + number)
            self.settled.append(done)
            if path == "/v1/orders" and done.answer.status == 201:
                orders.append(done.answer.body["order"]["id"])

    def _settle(self, path: str, body: Any, key: str, turn: int) -> Acknowledged:
        ends_at_s = time.monotonic() + SETTLE_S_MAX
        while time.monotonic() < ends_at_s:
            try:
                answer = self.clients[turn % len(self.clients)].post(path, body, key=key)
                if answer.status < 500 and answer.status not in (202, 429):
                    return Acknowledged(path, body, key, answer, time.monotonic())
                code = answer.body.get("code", "") if isinstance(answer.body, dict) else ""
                self.attempts[f"{answer.status} {code}".strip()] += 1
                if answer.status == 202:
                    return Acknowledged(path, body, key, answer, time.monotonic())
            except urllib3.exceptions.HTTPError as error:
                self.attempts[type(error).__name__] += 1
            turn += 1
            time.sleep(PAUSE_S)
        raise TimeoutError(f"{path} {key} was not settled")


def opened_load(services: Sequence[Service], *, delay_s: int = 86_000, threads: int = 8) -> Load:
    """Make customers with money and a product, and return the load of mixed commands on them."""
    first = services[0].client()
    clients = [first, *(Client(each.address, first._key) for each in services[1:])]
    made = first.post("/v1/customers/bulk", [{"name": f"客户 {number}"} for number in range(CUSTOMERS)])
    assert made.status == 201 or made.status == 200, made
    simulated = {"executor": "simulated", "executor_settings": {"delay_s": delay_s}}
    product = {"sku": "thing", "name": "Thing", "unit_price": "0.05", **simulated}
    assert first.post("/v1/products", product).status == 201
    return Load(clients, [each["id"] for each in made.body["data"]], "thing", threads)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the log holds of what was answered."""

    events: int
    acknowledged: int
    lost: int
    doubled: int


def judge(load: Load, url: str) -> Verdict:
    """Compare what clients were told with the log of one node, which must prove itself."""
    engine = sa.create_engine(url)
    try:
        events = prove(engine)
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT position, idempotency_key, type FROM events").all()
    finally:
        engine.dispose()
    by_key: dict[str, list[tuple[int, str]]] = {}
    for position, key, type_ in rows:
        by_key.setdefault(bytes(key).decode(), []).append((position, type_))
    told = load.acknowledged
    lost = [
        each
        for each in told
        if (each.answer.body["position"], each.answer.body["type"]) not in by_key.get(each.key, [])
    ]
    for each in lost:
        print("lost:", each, "in the log:", by_key.get(each.key))
    doubled = [each for each in load.settled if len(by_key.get(each.key, [])) > 1]
    refused = [each for each in load.settled if 400 <= each.answer.status < 500 and each.key in by_key]
    assert not refused, f"refused commands took effect: {refused[:3]}"
    return Verdict(events, len(told), len(lost), len(doubled))
