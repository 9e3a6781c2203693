"""The settings of the read models and of the queue that wakes their workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ledger.settings import read_settings, seconds, setting, text


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionSettings:
    """Where the read models and the queue live, and how long Redis may take."""

    redis_url: str = setting(
        "REDIS_URL", text, "", "Redis of the read models: redis://…, rediss://… or unix://…", secret=True
    )
    queue_redis_url: str = setting(
        "QUEUE_REDIS_URL", text, "", "Redis of the job queues; empty: the read models' Redis", secret=True
    )
    redis_timeout_s: float = setting(
        "REDIS_TIMEOUT_S", seconds(0.05, 60), 2.0, "longest wait for Redis to connect or answer, in seconds"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ProjectionSettings:
        """Build the settings from environment variables. Raises BadSetting."""
        settings = read_settings(cls, environment)
        return replace(settings, queue_redis_url=settings.queue_redis_url or settings.redis_url)
