"""Read models: applying a log that is read already, the whole way from the database, and how both grow."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

import sqlalchemy as sa

from bench import processor
from bench.baselines import redis_pipeline
from bench.event_log import make_log
from bench.method import Measured, Method, Observation, Progress, run_rounds
from bench.server import Servers
from ledger import log
from ledger.database import open_engine
from ledger.log import Excerpt
from ledger.settings import LedgerSettings
from projections import generations, keys, order_layout, transaction_layout
from projections.catch_up import batches_after, catch_up
from projections.diff import diff
from projections.recent import Recent
from projections.redis_clients import open_redis

BATCH_EVENTS = 1_000
LOG_EVENTS, LOG_EVENTS_QUICK = 1_000_000, 5_000
REDIS_DATABASE = 7
COMPARED_MAX = 20_000
"""Events up to which a read model is compared with a replay afterwards; beyond, only how far it is."""
_COUNTED = {
    "orders": ("bytes_per_order", order_layout.COUNT),
    "transactions": ("bytes_per_transaction", transaction_layout.COUNT),
}


@cache
def log_of(servers: Servers, progress: Progress, *, quick: bool) -> sa.Engine:
    """Make the log that all cells of a run read, and return its engine."""
    events = LOG_EVENTS_QUICK if quick else LOG_EVENTS
    _, url = servers.mariadb.fresh_database()
    make_log(url, events, lambda done: progress(f"making a log: {done:,} of {events:,} events"))
    return open_engine(url, LedgerSettings(database_url=url))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingCell:
    """Reading the log in batches and doing nothing with it."""

    name: str
    events: int

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure our way beside one value a column."""
        engine = log_of(servers, progress, quick=method.quick)
        events = min(self.events, LOG_EVENTS_QUICK) if method.quick else self.events
        measured = Measured(name=self.name, unit="events", ways=("ledger", "columns"))
        readers: dict[str, Callable[..., Sequence[Any]]] = {"ledger": log.excerpts_after, "columns": log.events_after}

        def read(way: str) -> None:
            position = 0
            with engine.connect() as connection:
                while position < events:
                    position = readers[way](connection, position, BATCH_EVENTS)[-1].position

        passes = [Pass(way, servers, events, lambda way=way: read(way)) for way in readers]  # type: ignore[misc]
        run_rounds(measured, passes, method, progress)
        return measured


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionCell:
    """One read model from nothing up to so many events.

    `reads`: the log is read from the database while the clock runs. `rounds_max`: for what takes long.
    """

    name: str
    projection: str
    events: int
    ways: Sequence[str] = ("ledger", "pipeline")
    reads: bool = False
    axis: str | None = None
    rounds_max: int = 100

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure our way beside the usual one, and prove them. Raises AssertionError."""
        if method.quick and self.axis is not None:
            return Measured(name=self.name, ways=self.ways, missing=dict.fromkeys(self.ways, "left out when quick"))
        engine = log_of(servers, progress, quick=method.quick)
        events = min(self.events, LOG_EVENTS_QUICK) if method.quick else self.events
        measured = Measured(name=self.name, unit="events", ways=self.ways, axis=self.axis, size=events)
        batches: list[list[Excerpt]] = []
        if not self.reads:
            batches = list(islice(batches_after(engine, 0, BATCH_EVENTS), events // BATCH_EVENTS))
            # What is only held ready must not make the collector slower than it is in a worker.
            gc.collect()
            gc.freeze()
        makers = {"ledger": Ours, "pipeline": Pipeline}
        contestants = [makers[way](servers, engine, self.projection, events, batches) for way in self.ways]
        run_rounds(measured, contestants, replace(method, rounds=min(method.rounds, self.rounds_max)), progress)
        gc.unfreeze()
        return measured


class Pass:
    """Something done to so many events, from beginning to end."""

    def __init__(self, way: str, servers: Servers, events: int, work: Callable[[], None]) -> None:
        self.way = way
        self.events = events
        self._servers = servers
        self._work = work

    def make_ready(self, seconds: float) -> None:
        """Nothing."""

    def sample(self, seconds: float) -> Observation:
        """Do it once, however long it takes."""
        before = self._snapshot()
        self._work()
        spent = {name: value - before[name] for name, value in self._snapshot().items()}
        elapsed_s, machine_s = spent.pop("elapsed"), spent.pop("machine")
        return Observation(
            operations=self.events,
            per_s=self.events / elapsed_s,
            cpu_us={name: value / self.events * 1_000_000 for name, value in spent.items()},
            others_cores=max(0.0, machine_s - sum(spent.values())) / elapsed_s,
            more=self.more(),
        )

    def more(self) -> dict[str, float]:
        """Return further figures of what was done."""
        return {}

    def prove(self) -> int:
        """Nothing is left to prove."""
        return self.events

    def _snapshot(self) -> dict[str, float]:
        return {
            "elapsed": time.monotonic(),
            "machine": processor.machine_s(),
            "python": processor.own_s(),
            "redis": processor.process_s(self._servers.redis.pid),
            "mariadbd": processor.process_s(self._servers.mariadb.pid),
        }


class _Applying(Pass):
    """A pass over the log into an empty Redis."""

    def __init__(
        self, servers: Servers, engine: sa.Engine, projection: str, events: int, batches: Sequence[list[Excerpt]]
    ) -> None:
        super().__init__(self.WAY, servers, events, self._apply)
        self._engine = engine
        self._projection = projection
        self._batches = batches
        self._client = open_redis(servers.redis.url(REDIS_DATABASE), timeout_s=30)
        self._memory_before = 0

    WAY = ""

    def make_ready(self, seconds: float) -> None:
        """Empty Redis."""
        self._client.flushdb()
        self._memory_before = self._memory()

    def _read(self) -> Any:
        """Return the batches, from the database unless they are at hand."""
        if self._batches:
            return self._batches
        return islice(batches_after(self._engine, 0, BATCH_EVENTS), self.events // BATCH_EVENTS)

    def _apply(self) -> None:
        raise NotImplementedError

    def _memory(self) -> int:
        found: Any = self._client.info("memory")
        return int(found["used_memory"])


class Ours(_Applying):
    """A generation filled as a rebuild or a drain that is behind does."""

    WAY = "ledger"

    def more(self) -> dict[str, float]:
        """Return the memory for each customer, order or transaction."""
        live = generations.live(self._client, self._projection)
        assert live is not None
        if self._projection not in _COUNTED:
            # One key holds all; of so little, the server's buffers would hide the growth.
            held: Any = self._client.memory_usage(live.prefix + keys.ACCOUNTS, samples=0)
            customers: Any = self._client.hlen(live.prefix + keys.ACCOUNTS)
            return {"bytes_per_customer": held / customers}
        name, field = _COUNTED[self._projection]
        return {name: (self._memory() - self._memory_before) / int(live.fields([field])[0] or 1)}

    def prove(self) -> int:
        """Compare with a replay where that is soon done; the position reached was compared every time."""
        if self._batches and self.events <= COMPARED_MAX:
            # The other way emptied the same Redis.
            self.make_ready(0)
            self._apply()
            assert diff(self._engine, self._client, self._projection).differences == ()
        self._client.flushdb()
        return self.events

    def _apply(self) -> None:
        live = generations.start(self._client, self._projection)
        checkpoint = live.checkpoint()
        assert checkpoint is not None
        catch_up(live, checkpoint, self._read(), Recent())
        reached = live.checkpoint()
        assert reached is not None and reached.position == self.events


class Pipeline(_Applying):
    """The usual way."""

    WAY = "pipeline"

    def prove(self) -> int:
        """Count what is there."""
        if self._batches:
            self.make_ready(0)
            self._apply()
            redis_pipeline.prove(self._client, [each for batch in self._batches for each in batch])
        self._client.flushdb()
        return self.events

    def _apply(self) -> None:
        for batch in self._read():
            redis_pipeline.apply(self._client, batch)
