"""The figures of this process: one registry, what the write path counts, and what it costs to count it.

A figure is made once, by `counter`, `gauge` or `histogram`, in the module `figures` of the package that counts it; all are
described in docs/metrics.md. Whoever shows them (api.metrics, projections.reporting) reads the registry.

The committer's own distributions are plain lists that only its thread changes: a command may be counted three times
there, and a lock each time would cost more than the counting.
"""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

PREFIX = "orderledger_"
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0)

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)


def counter(name: str, text: str, *labels: str) -> Counter:
    """Make a figure that only grows; it is shown as ``orderledger_<name>_total``."""
    return Counter(PREFIX + name, text, labels, registry=REGISTRY)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """Make a figure that goes up and down."""
    return Gauge(PREFIX + name, text, labels, registry=REGISTRY)


def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
    """Make a distribution."""
    return Histogram(PREFIX + name, text, labels, buckets=buckets, registry=REGISTRY)


class Distribution:
    """A distribution that one thread changes: `observe` takes no lock."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Statistics:
    """What one committer did since it started; only its thread changes it."""

    groups: int = 0
    commands: int = 0
    retries: int = 0
    round_trips: int = 0
    seconds: float = 0.0
    group: Distribution = field(default_factory=lambda: Distribution(SIZES))
    commit_s: Distribution = field(default_factory=lambda: Distribution(SECONDS))
    wait_s: Distribution = field(default_factory=lambda: Distribution(SECONDS))
    total_s: Distribution = field(default_factory=lambda: Distribution(SECONDS))


class Writer(Protocol):
    """Who writes the log in this process."""

    statistics: Statistics

    @property
    def waiting(self) -> int:
        """How many commands wait now."""


REFUSED = counter("commands_refused", "commands that the rules, or a conflict, said no to", "code")
UNSETTLED = counter("commands_unsettled", "commands answered unavailable (surely nothing recorded) or unknown", "code")
POOL_TIMEOUTS = counter("pool_timeouts", "waits for a database connection that ended without one")


class CountingPool(sa.QueuePool):
    """A pool that counts the waits for a connection that ended without one."""

    # SQLAlchemy names a pool's logger by it, and ours say at this level what theirs keep to themselves.
    __module__ = sa.QueuePool.__module__

    def connect(self) -> sa.PoolProxiedConnection:
        """Return a connection. Raises TimeoutError when none is free in time."""
        try:
            return super().connect()
        except sa.exc.TimeoutError:
            POOL_TIMEOUTS.inc()
            raise


_DISTRIBUTIONS = (
    ("group", "group_commands", "commands committed together"),
    ("commit_s", "commit_seconds", "time to decide, write and commit a group"),
    ("wait_s", "command_wait_seconds", "time a command waits until its group begins"),
    ("total_s", "command_seconds", "time from a command's arrival at the committer to its answer"),
)
_COUNTS = (
    ("retries", "commit_retries", "groups tried again"),
    ("round_trips", "commit_round_trips", "round trips of the committer to the database"),
)


class _Writers:
    """The committers of this process together."""

    def __init__(self) -> None:
        self._writers: weakref.WeakSet[Writer] = weakref.WeakSet()
        self._lock = threading.Lock()

    def watch(self, writer: Writer) -> None:
        with self._lock:
            self._writers.add(writer)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            writers = list(self._writers)
        found = [each.statistics for each in writers]
        for attribute, name, text in _DISTRIBUTIONS:
            yield _family(PREFIX + name, text, [getattr(each, attribute) for each in found])
        for attribute, name, text in _COUNTS:
            yield CounterMetricFamily(PREFIX + name, text, value=sum(getattr(each, attribute) for each in found))
        waiting = sum(each.waiting for each in writers)
        yield GaugeMetricFamily(PREFIX + "commands_waiting", "commands that wait to be committed", value=waiting)


def _family(name: str, text: str, parts: Sequence[Distribution]) -> Metric:
    bounds = parts[0].bounds if parts else SECONDS
    counts = [sum(each.counts[place] for each in parts) for place in range(len(bounds) + 1)]
    buckets, reached = [], 0
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        reached += count
        buckets.append((bound, float(reached)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=sum(each.sum for each in parts))


_POOL_FIGURES = {
    "limit": "connections a pool may have open in a rush",
    "in_use": "connections in use now",
    "idle": "open connections that nobody uses",
}


class _Pools:
    """The connection pools of this process, by the name of what they lead to."""

    def __init__(self) -> None:
        self._engines: weakref.WeakKeyDictionary[sa.Engine, str] = weakref.WeakKeyDictionary()
        self._redis: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def collect(self) -> Iterator[Metric]:
        # Two pools of one name are shown as one: a process may have opened the same database twice.
        sums: dict[str, dict[str, int]] = {figure: {} for figure in _POOL_FIGURES}
        for name, figures in self._looked_at():
            for figure, number in figures.items():
                sums[figure][name] = sums[figure].get(name, 0) + number
        for figure, text in _POOL_FIGURES.items():
            family = GaugeMetricFamily(f"{PREFIX}pool_{figure}", text, labels=["pool"])
            for name, number in sums[figure].items():
                family.add_metric([name], number)
            yield family

    def _looked_at(self) -> Iterator[tuple[str, dict[str, int]]]:
        for engine, name in list(self._engines.items()):
            pool = engine.pool
            if isinstance(pool, sa.QueuePool):
                limit = pool.size() + pool._max_overflow
                yield name, {"limit": limit, "in_use": pool.checkedout(), "idle": pool.checkedin()}
        for connections, name in list(self._redis.items()):
            counts = _counted(connections)
            limit = connections.max_connections
            yield name, {"limit": limit, "in_use": counts.get("used", 0), "idle": counts.get("idle", 0)}

    def watch(self, name: str, owner: Any) -> None:
        if isinstance(owner, sa.Engine):
            self._engines[owner] = name
        else:
            self._redis[owner.connection_pool] = name


def _counted(connections: Any) -> dict[str, int]:
    """Return a Redis client's connections by their state, `idle` or `used`."""
    return {
        value: count
        for count, attributes in connections.get_connection_count()
        for key, value in attributes.items()
        if key.endswith(".state")
    }


_writers = _Writers()
_pools = _Pools()
REGISTRY.register(_writers)
REGISTRY.register(_pools)


def watch_writer(writer: Writer) -> None:
    """Show what a committer counts, for as long as it is there."""
    _writers.watch(writer)


def watch_pool(name: str, owner: Any) -> None:
    """Show the connections of an engine or a Redis client, for as long as it is there."""
    _pools.watch(name, owner)
