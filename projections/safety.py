"""Whether a Redis keeps what it is given: its version, its policy when full, and what is left after a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import redis

from ledger.safety.checks import BAD, GOOD, WARNING, Finding, finding
from projections.redis_clients import POLICY

REDIS_OLDEST = (7, 0)


def findings_of_redis(client: redis.Redis) -> Iterator[Finding]:
    """Yield what the server says of itself. Raises redis.RedisError."""
    info = cast("Mapping[str, Any]", client.info())
    yield finding("redis", GOOD, "answers")
    version = str(info["redis_version"])
    named = f"{info.get('server_name', 'redis')} {info.get('valkey_version', version)}"
    if tuple(int(part) for part in version.split(".")[:2]) >= REDIS_OLDEST:
        yield finding("redis version", GOOD, named)
    else:
        yield finding("redis version", BAD, named, "upgrade to Redis 7 or Valkey")
    policy = info.get("maxmemory_policy", POLICY)
    if policy == POLICY:
        yield finding("redis memory", GOOD, f"policy when full: {policy}")
    else:
        mend = "CONFIG SET maxmemory-policy noeviction"
        yield finding("redis memory", BAD, f"policy when full: {policy}", mend)
    if not int(info.get("aof_enabled", 0)) and not _saves(client):
        mend = "CONFIG SET appendonly yes"
        yield finding("redis persistence", WARNING, "a restart ends sessions and makes every read model anew", mend)


def _saves(client: redis.Redis) -> bool:
    try:
        found = cast("Mapping[Any, Any]", client.config_get("save"))
    except redis.ResponseError:
        # Hosted services often forbid CONFIG; they save in ways of their own.
        return True
    return any(found.values())
