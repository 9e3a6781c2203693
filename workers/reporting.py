"""A worker process's own figures, shown to the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.figures import REGISTRY
from projections.redis_clients import open_redis
from projections.reporting import Reporter, Who
from projections.settings import ProjectionSettings

PROJECTIONS = "projections"
"""The role of the processes that keep read models; others have the name of their queue."""


@contextmanager
def reporting(settings: ProjectionSettings, role: str) -> Iterator[None]:
    """Let this process's figures be seen at /metrics while it runs."""
    if settings.metrics_interval_s == 0:
        yield
        return
    client = open_redis(settings.redis_url, timeout_s=settings.redis_timeout_s)
    reporter = Reporter(client, Who.of_this_process(role), [REGISTRY], settings.metrics_interval_s)
    try:
        yield
    finally:
        reporter.close()
        client.close()
