"""What a process needs to keep read models: the log's engine and the Redis clients, made once, when first asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass

import sqlalchemy as sa
from redis import Redis

from ledger.database import database_url, open_engine
from ledger.figures import watch_pool
from ledger.settings import LedgerSettings, read_settings
from projections.redis_clients import check_eviction, open_redis
from projections.settings import ProjectionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The log, the read models, the queues, and the settings."""

    engine: sa.Engine
    redis: Redis
    queue_redis: Redis
    settings: ProjectionSettings


_configured: Context | None = None


def configure(context: Context | None) -> None:
    """Make this process's jobs use these; None: what the environment says, when first asked for."""
    global _configured
    _configured = context


def context() -> Context:
    """Return what this process's jobs use. Raises BadSetting."""
    global _configured
    if _configured is None:
        _configured = from_environment()
    return _configured


def from_environment() -> Context:
    """Build a context from the process's environment and check that Redis keeps what it is given."""
    ledger_settings = read_settings(LedgerSettings, os.environ)
    settings = ProjectionSettings.from_environment(os.environ)
    client = open_redis(settings.redis_url, timeout_s=settings.redis_timeout_s)
    check_eviction(client)
    made = Context(
        engine=open_engine(database_url(ledger_settings), ledger_settings),
        redis=client,
        queue_redis=open_redis(settings.queue_redis_url, timeout_s=settings.redis_timeout_s),
        settings=settings,
    )
    for pool, owner in (("log", made.engine), ("redis", made.redis), ("queue-redis", made.queue_redis)):
        watch_pool(pool, owner)
    return made
