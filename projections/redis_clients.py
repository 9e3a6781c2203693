"""Clients of Redis that fail soon and never send a command twice.

With Sentinels in the URL, each new connection asks them which server is the master now; an old master's connections end
with its demotion.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from ledger.errors import BadSetting, ReadUnavailable

TIMEOUT_S = 2.0
CONNECTIONS_MAX = 512
SCHEMES = ("redis", "rediss", "unix")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
SENTINEL_PORT = 26379
SENTINEL_TIMEOUT_S = 0.5
"""Longest wait for a Sentinel; the next one is asked then."""
SENTINELS_MAX = 9
POLICY = "noeviction"


def open_redis(url: str, *, timeout_s: float = TIMEOUT_S) -> redis.Redis:
    """Return a client; nothing connects yet. Values are bytes.

    A repeated command could take effect twice, so none is repeated. Raises BadSetting for a URL of another kind.
    """
    return client_for(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        max_connections=CONNECTIONS_MAX,
    )


def client_for(url: str, **options: Any) -> redis.Redis:
    """Return a client with the driver's options as given; nothing connects yet. Raises BadSetting."""
    scheme = url.partition("://")[0]
    if scheme in SCHEMES:
        return redis.Redis.from_url(url, decode_responses=False, **options)
    if scheme not in SENTINEL_SCHEMES:
        raise BadSetting(
            variable="Redis URL",
            problem="not a URL such as redis://host:6379/0, unix:///path?db=0 or redis+sentinel://host:26379/master/0",
        )
    named = sentinels_of(url)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        named.addresses,
        sentinel_kwargs={
            **named.sentinel_login,
            "ssl": named.is_encrypted,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
        },
    )
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        named.master, db=named.database, ssl=named.is_encrypted, decode_responses=False, **named.login, **options
    )
    return client


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinels:
    """Where to ask for the master of a name, and how to log in there and at the Sentinels."""

    addresses: list[tuple[str, int]]
    master: str
    database: int = 0
    is_encrypted: bool = False
    login: dict[str, str] = field(default_factory=dict, repr=False)
    sentinel_login: dict[str, str] = field(default_factory=dict, repr=False)


def sentinels_of(url: str) -> Sentinels:
    """Read ``redis+sentinel://[user:password@]host:port,host:port/MASTER[/db]``; the scheme with TLS is rediss+sentinel.

    The Sentinels' own login comes behind, as ``?sentinel_username=…&sentinel_password=…``. Raises BadSetting.
    """
    try:
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        master, _, database = parts.path.strip("/").partition("/")
        addresses = [_address(each) for each in hosts.split(",")]
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        found = Sentinels(
            addresses=addresses,
            master=unquote(master),
            database=int(database or 0),
            is_encrypted=parts.scheme == "rediss+sentinel",
            login=_login(unquote(user), unquote(password)),
            sentinel_login=_login(query.pop("sentinel_username", ""), query.pop("sentinel_password", "")),
        )
    except ValueError:
        raise BadSetting(
            variable="Redis URL", problem="not of the form redis+sentinel://host:26379,host:26379/master/0"
        ) from None
    if not found.master or query or len(addresses) > SENTINELS_MAX:
        raise BadSetting(
            variable="Redis URL",
            problem=f"names no master, has options that do not exist, or more than {SENTINELS_MAX} Sentinels",
        )
    return found


def _address(text: str) -> tuple[str, int]:
    # The form of one host and port, square brackets of IPv6 included, is what urlsplit knows.
    parsed = urlsplit(f"//{text.strip()}")
    if not parsed.hostname:
        raise ValueError(text)
    return parsed.hostname, parsed.port or SENTINEL_PORT


def _login(user: str, password: str) -> dict[str, str]:
    return {name: value for name, value in (("username", user), ("password", password)) if value}


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
