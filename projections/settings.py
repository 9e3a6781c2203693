"""The settings of the read models and of the queue that wakes who keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.settings import integer, read_settings, seconds, setting, text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionSettings:
    """Where the read models and the queues are, and how much is applied at once.

    Without an address of its own, the queue is where the read models are.
    """

    redis_url: str = setting(
        "REDIS_URL",
        text,
        "redis://127.0.0.1:6379/0",
        "URL of the Redis or Valkey of the read models: redis://…, rediss://…, unix://… or redis+sentinel://…",
        secret=True,
    )
    queue_redis_url: str = setting(
        "QUEUE_REDIS_URL", text, "", "URL of the Redis of the queues; empty: the read models'", secret=True
    )
    redis_timeout_s: float = setting(
        "REDIS_TIMEOUT_S", seconds(0.05, 60), 2.0, "longest wait for one answer of Redis, in seconds"
    )
    batch_events: int = setting(
        "PROJECTION_BATCH", integer(1, 10_000), 1_000, "events applied to a read model in one step at most"
    )

    metrics_interval_s: float = setting(
        "METRICS_INTERVAL_S",
        seconds(0, 60),
        5.0,
        "how often a process puts its figures where /metrics of any other finds them, in seconds; 0: never",
    )

    def __post_init__(self) -> None:
        if not self.queue_redis_url:
            object.__setattr__(self, "queue_redis_url", self.redis_url)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ProjectionSettings:
        """Read the settings from environment variables. Raises BadSetting."""
        return read_settings(cls, environment)
