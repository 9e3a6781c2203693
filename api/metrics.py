"""The figures of one server process, in Prometheus' text form, from a registry of its own."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ledger.errors import LedgerError
from ledger.proofs.sealing import sealing_lag
from ledger.reading import read
from projections.status import status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests, and reads the committer's figures when asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "orderledger_requests", "requests answered", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "orderledger_request_seconds", "time to answer", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._lag_events = Gauge(
            "orderledger_projection_lag_events",
            "events not yet in a read model",
            ("projection",),
            registry=self.registry,
        )
        self._lag_seconds = Gauge(
            "orderledger_projection_lag_seconds", "age of the first of them", ("projection",), registry=self.registry
        )
        self._sealing_lag_events = Gauge(
            "orderledger_sealing_lag_events", "events under no signed checkpoint yet", registry=self.registry
        )
        self._sealing_lag_seconds = Gauge(
            "orderledger_sealing_lag_seconds", "age of the first of them", registry=self.registry
        )
        self._committer = {
            name: Gauge(f"orderledger_committer_{name}", text, registry=self.registry)
            for name, text in (
                ("groups", "groups committed"),
                ("commands", "commands committed"),
                ("retries", "groups tried again"),
                ("round_trips", "round trips to the database"),
                ("waiting", "commands that wait now"),
            )
        }

    def observe(self, route: str, code: int, seconds: float) -> None:
        """Note one answer."""
        answers = self._answers.get((route, code))
        if answers is None:
            # Finding them by their labels costs more than counting.
            answers = self._requests.labels(route, str(code)), self._seconds.labels(route)
            self._answers[route, code] = answers
        counter, histogram = answers
        counter.inc()
        histogram.observe(seconds)

    def exposition(self, services: Any) -> bytes:
        """Return all figures as text."""
        statistics = services.ledger.statistics
        for name in ("groups", "commands", "retries", "round_trips"):
            self._committer[name].set(getattr(statistics, name))
        self._committer["waiting"].set(services.ledger.waiting)
        self._look_at_lags(services)
        return generate_latest(self.registry)

    def _look_at_lags(self, services: Any) -> None:
        try:
            sealing = read(services.engine, sealing_lag)
            self._sealing_lag_events.set(sealing.events)
            self._sealing_lag_seconds.set(sealing.seconds)
        except LedgerError:
            self._sealing_lag_events.set(float("nan"))
            self._sealing_lag_seconds.set(float("nan"))
        try:
            found = read(services.engine, lambda connection: status(services.redis, connection))
        except LedgerError:
            # Better no figure than an old one.
            self._lag_events.clear()
            self._lag_seconds.clear()
            return
        for each in found:
            self._lag_events.labels(each.name).set(each.lag_events)
            self._lag_seconds.labels(each.name).set(each.lag_s)
