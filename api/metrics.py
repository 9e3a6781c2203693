"""The figures of the service in Prometheus' text form: of every process that reports, and of what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import redis
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ledger import log, tracing
from ledger.audit.findings import CANNOT_TELL, CLEAN, TAMPERED
from ledger.audit.recording import latest_verification
from ledger.clock import now_us
from ledger.directory.webhook_standing import webhook_standing
from ledger.errors import LedgerError
from ledger.figures import REGISTRY, SECONDS
from ledger.orders import EXECUTING, NEEDS_REVIEW, PLACED
from ledger.proofs.sealing import sealing_lag
from ledger.reading import read
from ledger.replicas.looking import ReplicaState
from ledger.schema import orders
from projections.reporting import Reporter, labelled, merged
from projections.status import status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN = (PLACED, EXECUTING, NEEDS_REVIEW)
VERDICTS = (CLEAN, TAMPERED, CANNOT_TELL)


class Metrics:
    """Counts the requests of one process, and shows all figures when asked.

    `reporter` is there when the processes of the service report to each other.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reporter: Reporter | None = None
        self._requests = Counter(
            "orderledger_requests", "requests answered", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "orderledger_request_seconds", "time to answer", ("route",), buckets=SECONDS, registry=self.registry
        )
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    @property
    def registries(self) -> Sequence[Collector]:
        """Everything that this process counts."""
        return (self.registry, REGISTRY)

    def observe(self, route: str, code: int, seconds: float) -> None:
        """Note one answer."""
        answers = self._answers.get((route, code))
        if answers is None:
            # Finding them by their labels costs more than counting.
            answers = self._requests.labels(route, str(code)), self._seconds.labels(route)
            self._answers[route, code] = answers
        if tracing.is_on():
            tracing.note(name=route, http__route=route, http__response__status_code=code)
        counter, histogram = answers
        counter.inc()
        histogram.observe(seconds)

    def exposition(self, services: Any) -> bytes:
        """Return all figures as text."""
        own: Iterable[Metric] = [each for registry in self.registries for each in registry.collect()]
        others: list[Metric] = []
        reporter = self.reporter
        if reporter is not None:
            own = labelled(own, reporter.who.labels)
            try:
                others = reporter.others()
            except redis.RedisError:
                # The others count on; their figures are back with Redis.
                others = []
        shown = merged([*own, *others, *shared(services)])
        return bytes(generate_latest(_Families(shown)))


class _Families:
    """What `generate_latest` takes for a registry."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def shared(services: Any) -> Iterator[Metric]:
    """Yield what all processes share, as it is now; what cannot be read is left out: better no figure than an old one."""
    engine: sa.Engine = services.engine
    head = _looked(lambda: read(engine, _head))
    yield _gauge("database_up", "1 when the log's database answers", float(bool(head)))
    yield from head
    if head:
        # With a database that hangs each of these would wait for it, together longer than whoever scrapes does.
        for look in (_sealing, _verification, _orders):
            yield from _looked(partial(read, engine, look))
        yield from _looked(lambda: _webhooks(services.directory.engine, engine))
        yield from _looked(lambda: read(engine, lambda connection: _models(services.redis, connection)))
    yield _gauge("redis_up", "1 when the Redis of the read models answers", float(_answers(services.redis)))
    yield from _replicas(services.replicas.states())


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _looked(look: Callable[[], list[Metric]]) -> list[Metric]:
    try:
        return look()
    except (LedgerError, redis.RedisError, sa.exc.SQLAlchemyError):
        return []


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"orderledger_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"orderledger_{name}", text, labels=[label])
    for each, value in values:
        family.add_metric([each], value)
    return family


def _head(connection: sa.Connection) -> list[Metric]:
    return [_gauge("log_head", "the last position of the log", log.head(connection).position)]


def _webhooks(directory_engine: sa.Engine, log_engine: sa.Engine) -> list[Metric]:
    found = webhook_standing(directory_engine, log_engine)
    states = ("delivering", "failing", "paused", "disabled")
    return [
        _gauges("webhooks", "subscriptions", "state", ((state, getattr(found, state)) for state in states)),
        _gauge("webhook_lag_events", "events that the furthest subscription in force is behind", found.lag_events),
        _gauge("webhook_lag_seconds", "age of the first of them", found.lag_s),
    ]


def _sealing(connection: sa.Connection) -> list[Metric]:
    lag = sealing_lag(connection)
    return [
        _gauge("sealing_lag_events", "events under no signed checkpoint yet", lag.events),
        _gauge("sealing_lag_seconds", "age of the first of them", lag.seconds),
    ]


def _verification(connection: sa.Connection) -> list[Metric]:
    last = latest_verification(connection)
    if last is None:
        return []
    return [
        _gauge("verification_age_seconds", "since the last recorded audit ended", _age_s(last.finished_at_us)),
        _gauges(
            "verification_verdict",
            "1 for what the last recorded audit said",
            "verdict",
            [(each, float(each == last.status)) for each in VERDICTS],
        ),
    ]


def _orders(connection: sa.Connection) -> list[Metric]:
    query = (
        sa.select(orders.c.status, sa.func.count(), sa.func.min(orders.c.placed_position))
        .where(orders.c.status.in_(OPEN))
        .group_by(orders.c.status)
    )
    found = {status: (count, oldest) for status, count, oldest in connection.execute(query)}
    ages = {}
    for status_, (_, oldest) in found.items():
        event = log.event_at(connection, oldest)
        ages[status_] = 0.0 if event is None else _age_s(event.recorded_at_us)
    counts = [(each, float(found.get(each, (0, 0))[0])) for each in OPEN]
    return [
        _gauges("orders_open", "orders that have not ended, by status", "status", counts),
        _gauges(
            "order_oldest_seconds",
            "age of the oldest order of a status that has not ended",
            "status",
            [(each, ages.get(each, 0.0)) for each in OPEN],
        ),
    ]


def _models(client: redis.Redis, connection: sa.Connection) -> list[Metric]:
    found = status(client, connection)
    return [
        _gauges(
            "projection_lag_events",
            "events not yet in a read model",
            "projection",
            [(each.name, each.lag_events) for each in found],
        ),
        _gauges(
            "projection_lag_seconds",
            "age of the first of them",
            "projection",
            [(each.name, each.lag_s) for each in found],
        ),
        _gauges(
            "projection_stopped",
            "1 when a read model met an event that it cannot apply",
            "projection",
            [(each.name, float(each.state == "stopped")) for each in found],
        ),
    ]


def _replicas(states: Sequence[ReplicaState]) -> Iterator[Metric]:
    events = [(each.name, float(each.lag_events)) for each in states if each.lag_events is not None]
    yield _gauges("replica_lag_events", "events that a replica lacks", "replica", events)
    seconds = [(each.name, each.lag_s) for each in states if each.lag_s is not None]
    yield _gauges("replica_lag_seconds", "age of the first of them", "replica", seconds)
    readable = [(each.name, float(each.problem is None)) for each in states]
    yield _gauges("replica_readable", "1 when reads may be sent to it", "replica", readable)


def _age_s(time_us: int) -> float:
    return max(0.0, (now_us() - time_us) / 1_000_000)
