"""Clients of Redis that fail soon and never send a command twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ledger.errors import BadSetting, ReadUnavailable

TIMEOUT_S = 2.0
CONNECTIONS_MAX = 512
SCHEMES = ("redis", "rediss", "unix")
POLICY = "noeviction"


def open_redis(url: str, *, timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """Return a client; nothing connects yet. Values are bytes.

    A repeated command could take effect twice, so none is repeated. Raises BadSetting for a URL of another kind.
    """
    if url.partition("://")[0] not in SCHEMES:
        raise BadSetting(variable="Redis URL", problem="not a URL such as redis://host:6379/0 or unix:///path?db=0")
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=CONNECTIONS_MAX,
        decode_responses=False,
    )


def check_eviction(client: redis.Redis) -> None:
    """Raise BadSetting when Redis may throw keys away on its own: a read model with holes looks like a whole one."""
    try:
        settings = cast("dict[Any, Any]", client.config_get("maxmemory-policy"))
    except redis.ResponseError:
        # Hosted services often forbid CONFIG; then there is nothing to look at.
        return
    for value in settings.values():
        policy = value.decode() if isinstance(value, bytes) else str(value)
        if policy != POLICY:
            raise BadSetting(variable="Redis maxmemory-policy", problem=f"must be {POLICY}, is {policy}")


@contextmanager
def reading() -> Iterator[None]:
    """Answer faults of Redis as ReadUnavailable."""
    try:
        yield
    except redis.RedisError as error:
        raise ReadUnavailable(reason="the read models cannot be reached") from error
