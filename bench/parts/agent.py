"""The agent: placed orders executed by one worker process, beside the ledger's own ceiling and a loop of single steps."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from bench import processor
from bench.agent_ways import AgentWay, CommandsAlone, ExecutorServer, OneByOne, Shop, WorkerProcess, open_shop
from bench.method import OURS, Measured, Method, Observation, Progress, quantile_ms, run_rounds
from bench.server import Servers
from ledger.executor_settings import HTTP, SIMULATED
from submissions import prove

COMMANDS, ONE_BY_ONE = "commands", "one by one"
ROUNDS_MAX_OF_MANY = 1
MANY = 100_000
QUICK_ORDERS = 1_000
WARM_UP_ORDERS = 100
WARM_UP_S = 1.0


def cells() -> list[AgentCell]:
    """Return the loads, the lightest first."""
    return [
        *(AgentCell(executor=SIMULATED, orders=orders) for orders in (1_000, 10_000, MANY)),
        AgentCell(executor=HTTP, orders=10_000),
        *(AgentCell(executor=HTTP, latency_ms=50, orders=orders) for orders in (1_000, 10_000)),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCell:
    """So many placed orders of a product with this executor."""

    executor: str
    orders: int
    latency_ms: int = 0

    @property
    def name(self) -> str:
        """Executor, latency and number of orders."""
        latency = "" if self.executor == SIMULATED else f" {self.latency_ms} ms"
        return f"agent, {self.executor}{latency}, {self.orders:,} orders"

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Execute all orders in every round, and prove that each was executed once. Raises AssertionError."""
        ways = (OURS, COMMANDS) if self.orders >= MANY else (OURS, COMMANDS, ONE_BY_ONE)
        measured = Measured(name=self.name, unit="orders", ways=ways, axis="orders", size=self.orders)
        if method.quick and self.orders > QUICK_ORDERS:
            measured.missing = dict.fromkeys(ways, "too large for --quick")
            return measured
        if self.orders >= MANY:
            method = replace(method, rounds=min(method.rounds, ROUNDS_MAX_OF_MANY))
        with contextlib.ExitStack() as stack:
            contestants = []
            for way in ways:
                progress(f"{self.name}: preparing {way}")
                contestants.append(stack.enter_context(_executing(servers, self, way)))
            run_rounds(measured, contestants, method, progress)
        return measured


class Executing:
    """A way of executing orders, its shop, and its executor."""

    def __init__(
        self, way: str, shop: Shop, agent: AgentWay, executor: ExecutorServer | None, orders: int, server_pid: int
    ) -> None:
        self.way = way
        self._shop = shop
        self._agent = agent
        self._executor = executor
        self._orders = orders
        self._server_pid = server_pid
        self._executed = 0

    def warm_up(self) -> None:
        """Execute a few orders, so that processes are up and connections made."""
        self._shop.place(WARM_UP_ORDERS)
        self._executed += self._agent.execute(self._shop, WARM_UP_S)

    def make_ready(self, seconds: float) -> None:
        """Place orders."""
        self._shop.place(self._orders)

    def sample(self, seconds: float) -> Observation:
        """Execute them."""
        head, before = self._shop.head(), self._snapshot()
        if self._executor is not None:
            self._executor.book()
        executed = self._agent.execute(self._shop, seconds)
        after = self._snapshot()
        book = {} if self._executor is None else self._executor.book()
        self._executed += executed
        spent = {name: after[name] - before[name] for name in before}
        elapsed_s = spent.pop("monotonic")
        others_s = max(0.0, spent.pop("machine") - sum(spent.values()))
        waits_us, commits = self._turnarounds(head)
        more = {"events_per_commit": 2 * executed / commits}
        if book:
            more |= {"in_flight": book["in_flight_s"] / elapsed_s, "in_flight_max": book["in_flight_max"]}
        return Observation(
            operations=executed,
            per_s=executed / elapsed_s,
            p50_ms=quantile_ms(waits_us, 0.50),
            p99_ms=quantile_ms(waits_us, 0.99),
            cpu_us={name: seconds / executed * 1_000_000 for name, seconds in spent.items()},
            others_cores=others_s / elapsed_s,
            more=more,
        )

    def prove(self) -> int:
        """Compare the log, the orders, and what the executor delivered."""
        shop = self._shop
        prove(shop.engine)
        statuses = Counter(dict(_rows(shop, "SELECT status, COUNT(*) FROM orders GROUP BY status")))
        assert statuses == Counter({"completed": self._executed, "placed": len(shop.placed)}), statuses
        assert shop.one("SELECT COUNT(*) FROM orders WHERE attempt > 1") == 0, "an order was started twice"
        assert shop.one("SELECT COUNT(*) FROM claims") == 0, "a claim was left"
        if self._executor is not None and self.way != COMMANDS:
            book = self._executor.book()
            captured_minor = shop.one("SELECT COALESCE(SUM(captured_minor), 0) FROM orders")
            assert (book["orders"], book["calls"], book["wrong"]) == (self._executed, self._executed, 0), book
            assert Decimal(book["amount"]) * 100 == captured_minor, book
        return self._executed

    def _snapshot(self) -> dict[str, float]:
        spent = {
            "monotonic": time.monotonic(),
            "machine": processor.machine_s(),
            "python": self._agent.processor_s(),
            "mariadbd": processor.process_s(self._server_pid),
        }
        if isinstance(self._agent, WorkerProcess):
            # This process only looks on, and what that takes is not the machine's other users'.
            spent["looking on"] = processor.own_s()
        if self._executor is not None and self.way != COMMANDS:
            spent["executor"] = processor.process_s(self._executor.pid)
        return spent

    def _turnarounds(self, head: int) -> tuple[list[int], int]:
        """Return how long each order took from its intent to its end, and how many commits that were."""
        started_us: dict[str, int] = {}
        waits_us, times_us = [], set()
        query = f"SELECT order_id, type, recorded_at_us FROM events WHERE position > {head} ORDER BY position"
        for order_id, type_, recorded_at_us in _rows(self._shop, query):
            times_us.add(recorded_at_us)
            if type_ == "order.started":
                started_us[order_id] = recorded_at_us
            else:
                waits_us.append(recorded_at_us - started_us[order_id])
        return sorted(waits_us), max(1, len(times_us))


def _rows(shop: Shop, query: str) -> list[Any]:
    with shop.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@contextlib.contextmanager
def _executing(servers: Servers, cell: AgentCell, way: str) -> Iterator[Executing]:
    name, url = servers.mariadb.fresh_database()
    with contextlib.ExitStack() as stack:
        executor, settings = None, {"delay_s": cell.latency_ms / 1_000}
        if cell.executor == HTTP:
            executor = ExecutorServer(cell.latency_ms)
            stack.callback(executor.close)
            settings = {"url": executor.url}
        shop = stack.enter_context(open_shop(url, cell.executor, settings))
        agent: AgentWay
        if way == OURS:
            servers.redis.flush()
            worker = WorkerProcess(shop, servers.redis)
            stack.callback(worker.close)
            agent = worker
        else:
            agent = CommandsAlone() if way == COMMANDS else OneByOne(shop)
        executing = Executing(way, shop, agent, executor, cell.orders, servers.mariadb.pid)
        executing.warm_up()
        yield executing
    servers.mariadb.drop_database(name)
