"""Ways of executing orders: the agent's worker process, the same commands alone, and one order after the other.

Each has a database of its own with placed orders; a sample executes all of them, or as many as its time allows.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from bench import processor
from bench.ledger_way import account_id
from ledger.append import Ledger
from ledger.clock import now_us
from ledger.commands import Command, CompleteOrder, OpenAccount, PlaceOrder, ProductTerms, Recharge, StartOrder
from ledger.database import open_engine
from ledger.directory import products
from ledger.directory.directory import Directory
from ledger.ids import new_id
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from ledger.submission import Outcome, Submission
from projections.wake import AGENT, wake
from servers import PrivateRedis
from workers.claims import Claims
from workers.executors.protocol import Completed, ExecutorOrder
from workers.executors.registry import Executors
from workers.settings import WorkerSettings

ROOT = Path(__file__).resolve().parent.parent
ACCOUNTS = 100
SKU = "sms"
QUANTITY = 3
PRICE_MINOR = 10
TERMS = ProductTerms(sku=SKU, unit_price="0.10", tiers=(), quantity_min=1, quantity_max=1_000_000, currency="CNY")
MONEY_MINOR = 1_000_000_000
STEP = 1_000
"""Commands of one batch where orders are prepared, and where commands are measured alone."""
LOOK_S = 0.02
WAKE_S = 2.0
"""How often the agent is woken while orders are left, as the sweeper does."""
STANDSTILL_S_MAX = 60.0
SETTINGS = {"EXECUTOR_ALLOW_PRIVATE": "true"}


class ExecutorServer:
    """The stub of an executor, in a process of its own."""

    def __init__(self, latency_ms: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.executor_server", str(latency_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{self._answer()['port']}/orders"

    def book(self) -> dict[str, Any]:
        """Return its figures."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@dataclass(slots=True)
class Shop:
    """A database with accounts, one product, and orders that wait to be executed."""

    url: str
    executor: str
    executor_settings: dict[str, Any]
    engine: sa.Engine
    ledger: Ledger
    placed: list[str] = field(default_factory=list)

    def create(self) -> None:
        """Migrate, open and fill the accounts, put the product on sale."""
        upgrade(self.url)
        self.append([OpenAccount(account_id=account_id(each), currency="CNY") for each in range(ACCOUNTS)])
        self.append(
            [
                Recharge(account_id=account_id(each), amount_minor=MONEY_MINOR, currency="CNY")
                for each in range(ACCOUNTS)
            ]
        )
        content = {"sku": SKU, "name": "SMS", "unit_price": "0.10", "currency": "CNY", "executor": self.executor}
        products.create(Directory(self.engine), [{**content, "executor_settings": self.executor_settings}])

    def place(self, orders: int) -> None:
        """Place orders until so many wait."""
        while len(self.placed) < orders:
            commands = [
                PlaceOrder(
                    account_id=account_id(number % ACCOUNTS),
                    product=SKU,
                    quantity=QUANTITY,
                    order_id=new_id("ord"),
                    terms=TERMS,
                )
                for number in range(min(STEP, orders - len(self.placed)))
            ]
            self.append(commands)
            self.placed += [command.order_id for command in commands]

    def append(self, commands: Sequence[Command]) -> list[Outcome]:
        """Append commands that must be accepted."""
        outcomes = self.ledger.append_batch([submission(command) for command in commands], atomic=False)
        for outcome in outcomes:
            assert outcome.event is not None, outcome.error
        return outcomes

    def one(self, query: str) -> Any:
        """Return the one value of a query."""
        with self.engine.connect() as connection:
            return connection.exec_driver_sql(query).scalar()

    def head(self) -> int:
        """Return the log's length."""
        return int(self.one("SELECT position FROM log_head"))


def submission(command: Command) -> Submission:
    """Wrap a command as the agent does."""
    return Submission(command=command, actor="agent", idempotency_key=new_id("k"), correlation_id="bench")


class AgentWay(Protocol):
    """Executes what a shop's customers ordered."""

    def execute(self, shop: Shop, seconds: float) -> int:
        """Execute all placed orders, or those that the time allows; return how many."""

    def processor_s(self) -> float:
        """Return the processor seconds of the way's own process."""


class WorkerProcess:
    """The process that `orderledger worker agent` starts, with its default settings, woken through Redis."""

    def __init__(self, shop: Shop, redis: PrivateRedis) -> None:
        self._redis = redis.client()
        environment = {
            **os.environ,
            "ORDERLEDGER_DATABASE_URL": shop.url,
            "ORDERLEDGER_REDIS_URL": redis.url(),
            **{f"ORDERLEDGER_{name}": value for name, value in SETTINGS.items()},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workers.child", AGENT, str(os.getpid())], env=environment, cwd=ROOT
        )

    def execute(self, shop: Shop, seconds: float) -> int:
        """Wake the agent until the log has the end of every order."""
        wanted, woken_at_s, moved_at_s, head = shop.head() + 2 * len(shop.placed), 0.0, time.monotonic(), 0
        while (now := shop.head()) < wanted:
            now_s = time.monotonic()
            if now != head:
                head, moved_at_s = now, now_s
            assert now_s - moved_at_s < STANDSTILL_S_MAX and self._process.poll() is None, "the agent stands still"
            if now_s - woken_at_s > WAKE_S:
                wake(self._redis, AGENT)
                woken_at_s = now_s
            time.sleep(LOOK_S)
        executed = len(shop.placed)
        shop.placed.clear()
        return executed

    def processor_s(self) -> float:
        """Return the worker's processor time."""
        return processor.process_s(self._process.pid)

    def close(self) -> None:
        """Stop the worker as its supervisor does."""
        self._process.terminate()
        self._process.wait(60)


class CommandsAlone:
    """The ledger's ceiling: the same two commands an order, in full batches, and nobody is called."""

    def execute(self, shop: Shop, seconds: float) -> int:
        """Start and complete all orders."""
        for first in range(0, len(shop.placed), STEP):
            order_ids = shop.placed[first : first + STEP]
            shop.append([StartOrder(order_id=each, attempt=1, executor=shop.executor) for each in order_ids])
            shop.append([CompleteOrder(order_id=each, attempt=1, delivered=QUANTITY) for each in order_ids])
        executed = len(shop.placed)
        shop.placed.clear()
        return executed

    def processor_s(self) -> float:
        """Return this process's processor time."""
        return processor.own_s()


class OneByOne:
    """What one writes first: look for an order, claim it, record the start, call, record the end; again."""

    def __init__(self, shop: Shop) -> None:
        self._settings = WorkerSettings(executor_allow_private=True)
        self._claims = Claims(shop.engine, new_id("run"))
        self._executor = Executors(self._settings).open(shop.executor, shop.executor_settings)

    def execute(self, shop: Shop, seconds: float) -> int:
        """Execute until the time is over."""
        executed, ends_at_s = 0, time.monotonic() + seconds
        while shop.placed and time.monotonic() < ends_at_s:
            (candidate,) = self._claims.due(now_us(), 1)
            lease_until_us = now_us() + int(self._settings.lease_s * 1_000_000)
            (ours,) = self._claims.take([candidate], lease_until_us=lease_until_us)
            order = ours.order
            (started,) = shop.append([StartOrder(order_id=order.order_id, attempt=1, executor=shop.executor)])
            assert started.event is not None
            report = self._executor.execute(
                ExecutorOrder(
                    order_id=order.order_id,
                    product=order.product,
                    quantity=order.quantity,
                    params=None,
                    amount=f"{order.amount_minor / 100:.2f}",
                    currency=order.currency,
                    reference=order.reference,
                    started_at_us=started.event.recorded_at_us,
                ),
                10.0,
            )
            assert isinstance(report, Completed), report
            shop.append([CompleteOrder(order_id=order.order_id, attempt=1, delivered=report.delivered)])
            self._claims.settle([order.order_id], [])
            shop.placed.remove(order.order_id)
            executed += 1
        return executed

    def processor_s(self) -> float:
        """Return this process's processor time."""
        return processor.own_s()


@contextlib.contextmanager
def open_shop(url: str, executor: str, executor_settings: dict[str, Any]) -> Iterator[Shop]:
    """Make a shop in an empty database."""
    settings = LedgerSettings(database_url=url)
    engine = open_engine(url, settings)
    shop = Shop(
        url=url,
        executor=executor,
        executor_settings=executor_settings,
        engine=engine,
        ledger=Ledger(engine, settings),
    )
    try:
        shop.create()
        yield shop
    finally:
        shop.ledger.close()
        engine.dispose()
