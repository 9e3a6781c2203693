"""Clients of Redis that try a command once and never wait long, and the check that a server is safe to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ledger.errors import BadSetting, ReadUnavailable

TIMEOUT_S = 2.0


def open_redis(url: str, timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """Return a client that answers bytes; nothing connects yet.

    A command is sent once: a repeat after a lost answer would take effect twice. Raises BadSetting for a URL that is
    none of Redis.
    """
    try:
        return redis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            health_check_interval=0,
        )
    except ValueError:
        raise BadSetting(
            variable="ORDERLEDGER_REDIS_URL", problem="expected redis://…, rediss://… or unix://…"
        ) from None


def ensure_safe(client: redis.Redis) -> None:
    """Refuse a server that drops keys when its memory is full: jobs and parts of read models would vanish silently.

    Raises BadSetting, or redis.RedisError when the server does not answer.
    """
    policy = client.info("memory").get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BadSetting(
            variable="ORDERLEDGER_REDIS_URL",
            problem=f"the server's maxmemory-policy is {policy}; set it to noeviction, or it loses data when full",
        )


@contextmanager
def reading() -> Iterator[None]:
    """Turn any fault of Redis, or of what it holds, into ReadUnavailable."""
    try:
        yield
    except redis.RedisError as error:
        raise ReadUnavailable(reason="Redis cannot be reached") from error
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ReadUnavailable(reason="the read model is damaged") from error
