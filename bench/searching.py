"""Searching orders: one caller that searches a filled read model, beside a table and sets that answer the same.

A sample is one pass over questions made beforehand; names are looked up while the clock runs, as a request does.
"""

from __future__ import annotations

import contextlib
import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
import sqlalchemy as sa

from bench import processor
from bench.baselines.orders_table import OrdersTable
from bench.baselines.orders_zsets import OrdersZsets
from bench.method import OURS, Contestant, Measured, Method, Observation, Progress, quantile_ms, run_rounds
from bench.order_book import OrderBook
from bench.server import Servers
from bench.shop_names import names
from ledger.clock import now_us
from ledger.database import open_engine
from ledger.directory.directory import Directory
from ledger.directory.models import Base, Customer, DirectoryState
from ledger.directory.names import CustomerNames
from ledger.settings import LedgerSettings
from projections.redis_clients import open_redis
from projections.search import OrderFilters, OrderPage, count_by_status, search

CUSTOMERS = 20_000
ROWS_A_STATEMENT = 2_000
ORDERS, ORDERS_QUICK = 1_000_000, 10_000
FIRST_DATABASE = 3
"""Of Redis: other parts use the ones before."""
LIMIT = 50
SAMPLE_S_MAX = 0.5
QUESTIONS = 400
PROOFS = 2
SLOWLOG_US, SLOWLOG_MAX = 200, 2_000
SEED = 5

Question = Callable[[], OrderFilters]
"""Looks up what must be looked up, and returns the filters."""


class Shop:
    """A read model with so many orders, and the directory of its customers; made once for all cells."""

    def __init__(self, servers: Servers, orders: int, database: int, progress: Progress) -> None:
        chance = random.Random(SEED)
        self.server_pid = servers.redis.pid
        self.mariadb = servers.mariadb
        self.redis_url = servers.redis.url
        progress(f"search: {CUSTOMERS:,} customers")
        ids, self.customer_names = _customers(chance)
        _, url = servers.mariadb.fresh_database()
        self.names = CustomerNames(Directory(_directory(url, ids, self.customer_names)))
        self.client = open_redis(servers.redis.url(database), timeout_s=30.0)
        progress(f"search: making {orders:,} orders")
        self.book = OrderBook(ids, orders)
        before = _memory(self.client)
        self.book.fill(self.client, progress)
        after = _memory(self.client)
        # What the book holds would be gone through again and again while searches are timed.
        gc.collect()
        gc.freeze()
        self.bytes_per_order = {
            "bytes_per_order": (after["used_memory"] - before["used_memory"]) / orders,
            "resident_bytes_per_order": (after["used_memory_rss"] - before["used_memory_rss"]) / orders,
        }


class Shops:
    """The shops of a run by size; each is filled when a cell first asks for it."""

    def __init__(self) -> None:
        self._shops: dict[int, Shop] = {}
        self._servers: Servers | None = None

    def of(self, servers: Servers, orders: int, progress: Progress) -> Shop:
        """Return the shop with so many orders."""
        if self._servers is not servers:
            self._servers, self._shops = servers, {}
        if orders not in self._shops:
            self._shops[orders] = Shop(servers, orders, FIRST_DATABASE + len(self._shops), progress)
        return self._shops[orders]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCell:
    """One kind of search; `question` makes one of a shop by chance. `is_quick`: the quick form has it too."""

    name: str
    shops: Shops
    question: Callable[[Shop, random.Random], Question]
    sort: str = "newest"
    page: int = 1
    counts: bool = False
    orders: int = ORDERS
    axis: str | None = None
    baselines: Sequence[str] = ()
    is_quick: bool = False

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure the search, and prove some answers by looking at every order. Raises AssertionError."""
        ways = (OURS, *self.baselines)
        measured = Measured(name=self.name, unit="searches", ways=ways, axis=self.axis, size=self.orders)
        if method.quick and not self.is_quick:
            measured.missing = dict.fromkeys(ways, "not in the quick form")
            return measured
        shop = self.shops.of(servers, min(self.orders, ORDERS_QUICK) if method.quick else self.orders, progress)
        contestants: list[Contestant] = [Searching(self, shop)]
        with contextlib.ExitStack() as stack:
            for way in self.baselines:
                progress(f"{self.name}: preparing {way}")
                contestants.append(stack.enter_context(_baseline(way, shop, self)))
            run_rounds(measured, contestants, method, progress)
        return measured


@dataclass(slots=True)
class _Asked:
    filters: OrderFilters | None
    question: Question
    after: str | None = None


class Searching:
    """Our way: `projections.search` in this process."""

    way = OURS

    def __init__(self, cell: SearchCell, shop: Shop) -> None:
        self._cell, self._shop = cell, shop
        self._chance = random.Random(SEED)
        self._asked: list[_Asked] = []
        self._done = 0

    def make_ready(self, seconds: float) -> None:
        """Make the questions, and follow their pages to where the measured one begins."""
        many = QUESTIONS if self._cell.page == 1 else QUESTIONS // 20
        self._asked = []
        while len(self._asked) < many:
            asked = _Asked(None, self._cell.question(self._shop, self._chance))
            if self._cell.page > 1:
                asked.filters = asked.question()
                asked.after = self._cursor(asked.filters)
                if asked.after is None:
                    continue
            self._asked.append(asked)

    def sample(self, seconds: float) -> Observation:
        """Ask each question once, as far as time allows."""
        client, waits_us, first_us, rows = self._shop.client, [], [], 0
        client.config_set("slowlog-log-slower-than", SLOWLOG_US)
        client.config_set("slowlog-max-len", SLOWLOG_MAX)
        client.slowlog_reset()
        client.config_resetstat()
        own_s, server_s, machine_s = (
            processor.own_s(),
            processor.process_s(self._shop.server_pid),
            processor.machine_s(),
        )
        started = time.perf_counter()
        for each in self._asked * (1 if self._cell.page == 1 else 20):
            begun = time.perf_counter()
            rows += self._ask(each, each.after)
            waits_us.append((time.perf_counter() - begun) * 1e6)
            if self._cell.page > 1:
                begun = time.perf_counter()
                self._ask(each, None)
                first_us.append((time.perf_counter() - begun) * 1e6)
            if time.perf_counter() - started > SAMPLE_S_MAX:
                break
        took_s = time.perf_counter() - started
        own_s, server_s = processor.own_s() - own_s, processor.process_s(self._shop.server_pid) - server_s
        others_s = max(0.0, processor.machine_s() - machine_s - own_s - server_s)
        asked = len(waits_us)
        self._done += asked
        waits_us.sort()
        more = {"rows": rows / asked, **_of_redis(client, asked + len(first_us)), **self._shop.bytes_per_order}
        if first_us:
            page_1_us = sorted(first_us)[len(first_us) // 2]
            more |= {"page_1_p50_ms": page_1_us / 1_000, "to_page_1": waits_us[asked // 2] / page_1_us}
        return Observation(
            operations=asked,
            per_s=asked / took_s,
            p50_ms=quantile_ms(waits_us, 0.50),
            p99_ms=quantile_ms(waits_us, 0.99),
            cpu_us={"python": own_s / asked * 1e6, "redis": server_s / asked * 1e6},
            others_cores=others_s / took_s,
            more=more,
        )

    def prove(self) -> int:
        """Compare first pages with what looking at every order finds."""
        for each in self._asked[:PROOFS]:
            filters = each.question()
            if self._cell.counts:
                _, counts = count_by_status(self._shop.client, filters)
                wanted = _counts(self._shop.book, filters)
                assert all(
                    count.orders == wanted.get(status, 0) or not count.is_exact for status, count in counts.items()
                )
            else:
                found = [order.number for order in self._search(filters, None).orders]
                assert found == looked_for(self._shop.book, filters, self._cell.sort)[:LIMIT], filters
        return self._done

    def _ask(self, asked: _Asked, after: str | None) -> int:
        filters = asked.filters or asked.question()
        if self._cell.counts:
            _, counts = count_by_status(self._shop.client, filters)
            return len(counts)
        return len(self._search(filters, after).orders)

    def _search(self, filters: OrderFilters, after: str | None) -> OrderPage:
        return search(self._shop.client, filters, sort=cast(Any, self._cell.sort), limit=LIMIT, after=after)

    def _cursor(self, filters: OrderFilters) -> str | None:
        after: str | None = None
        for _ in range(self._cell.page - 1):
            after = self._search(filters, after).next
            if after is None:
                return None
        return after


class Baseline:
    """Another way to answer the same questions, given as a function that returns how many rows came."""

    def __init__(
        self, way: str, ask: Callable[[OrderFilters], list[int]], shop: Shop, cell: SearchCell, pid: int
    ) -> None:
        self.way = way
        self._ask, self._shop, self._cell, self._pid = ask, shop, cell, pid
        self._chance = random.Random(SEED)
        self._asked: list[OrderFilters] = []
        self._done = 0

    def make_ready(self, seconds: float) -> None:
        """Make the questions."""
        self._asked = [self._cell.question(self._shop, self._chance)() for _ in range(QUESTIONS)]

    def sample(self, seconds: float) -> Observation:
        """Ask each question once, as far as time allows."""
        waits_us: list[float] = []
        own_s, server_s = processor.own_s(), processor.process_s(self._pid)
        started = time.perf_counter()
        for filters in self._asked:
            begun = time.perf_counter()
            self._ask(filters)
            waits_us.append((time.perf_counter() - begun) * 1e6)
            if time.perf_counter() - started > SAMPLE_S_MAX:
                break
        took_s, asked = time.perf_counter() - started, len(waits_us)
        self._done += asked
        waits_us.sort()
        return Observation(
            operations=asked,
            per_s=asked / took_s,
            p50_ms=quantile_ms(waits_us, 0.50),
            p99_ms=quantile_ms(waits_us, 0.99),
            cpu_us={
                "python": (processor.own_s() - own_s) / asked * 1e6,
                "server": (processor.process_s(self._pid) - server_s) / asked * 1e6,
            },
        )

    def prove(self) -> int:
        """Compare with what looking at every order finds."""
        for filters in self._asked[:PROOFS]:
            assert self._ask(filters) == looked_for(self._shop.book, filters, "newest")[:LIMIT], filters
        return self._done


@contextlib.contextmanager
def _baseline(way: str, shop: Shop, cell: SearchCell) -> Iterator[Baseline]:
    if way == "mariadb":
        table = OrdersTable.of(shop.mariadb, shop.book)
        yield Baseline(way, lambda filters: table.search(filters, LIMIT), shop, cell, shop.mariadb.pid)
    else:
        zsets = OrdersZsets.of(shop.redis_url(FIRST_DATABASE - 1), shop.book)
        yield Baseline(way, lambda filters: zsets.search(filters, LIMIT), shop, cell, shop.server_pid)


def looked_for(book: OrderBook, filters: OrderFilters, sort: str) -> list[int]:
    """Return the numbers of all orders that match, in order, by looking at every one."""
    found = [place + 1 for place in range(book.orders) if book.matches(place, filters)]
    if "amount" in sort:
        found.sort(key=lambda number: book.amount_minor(number - 1))
    return found if sort in ("oldest", "amount") else found[::-1]


def _counts(book: OrderBook, filters: OrderFilters) -> dict[str, int]:
    counts: dict[str, int] = {}
    for number in looked_for(book, filters, "oldest"):
        status = book.status(number - 1)
        counts[status] = counts.get(status, 0) + 1
    return counts


def _of_redis(client: redis.Redis, asked: int) -> dict[str, float]:
    """Return how often and how long a search kept Redis."""
    slow = client.slowlog_get(SLOWLOG_MAX)
    longest_us = max((each["duration"] for each in slow if each["command"].startswith(b"EVALSHA")), default=0)
    calls = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0, "usec": 0})
    return {
        "calls": calls["calls"] / asked,
        "redis_ms": calls["usec"] / asked / 1_000,
        "longest_call_ms": longest_us / 1_000,
    }


def _memory(client: redis.Redis) -> dict[str, int]:
    return cast("dict[str, int]", client.info("memory"))


def _customers(chance: random.Random) -> tuple[list[str], list[str]]:
    ids = [f"cus_{0x019A << 32 | place:012x}7{chance.getrandbits(76):019x}"[:36] for place in range(CUSTOMERS)]
    return ids, names(CUSTOMERS, chance)


def _directory(url: str, ids: Sequence[str], customer_names: Sequence[str]) -> sa.Engine:
    engine = open_engine(url, LedgerSettings())
    Base.metadata.create_all(engine)
    now = now_us()
    rows = [
        {
            "id": customer_id,
            "name": name,
            "status": "active",
            "credit_limit_minor": 0,
            "currency": "CNY",
            "in_step": 1,
            "revision": 1,
            "created_at_us": now,
            "updated_at_us": now,
        }
        for customer_id, name in zip(ids, customer_names, strict=True)
    ]
    with engine.begin() as connection:
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            connection.execute(sa.insert(Customer), rows[start : start + ROWS_A_STATEMENT])
        connection.execute(sa.insert(DirectoryState), {"id": 1, "name_changes": 1})
    return engine
