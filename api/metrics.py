"""The figures of one server process, in Prometheus' text form, from a registry of its own."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Note one answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def exposition(self, services: Any) -> bytes:
        """Return all figures as text."""
        statistics = services.ledger.statistics
        for name in ("groups", "commands", "retries", "round_trips"):
            self._committer[name].set(getattr(statistics, name))
        self._committer["waiting"].set(services.ledger.waiting)
        return generate_latest(self.registry)
