"""How often something may be tried: counters in Redis, raised before the try, so that tries at the same time count too.

Only what was let through is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

import redis

from api.errors import TooManyTries
from api.figures import LIMITED
from projections.redis_clients import reading

_TAKE = """local exceeded, retry_after_s = 0, 0
for i = 1, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or 0) >= tonumber(ARGV[2 * i - 1]) then
    if exceeded == 0 then exceeded = i end
    retry_after_s = math.max(retry_after_s, redis.call('TTL', KEYS[i]), 1)
  end
end
if exceeded > 0 then return {exceeded, retry_after_s} end
for i = 1, #KEYS do
  if redis.call('INCR', KEYS[i]) == 1 then redis.call('EXPIRE', KEYS[i], ARGV[2 * i]) end
end
return {0, 0}"""
"""A refused try counts for nothing: else whoever goes on trying would use up what is others' as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many tries in a period that begins with the first of them."""

    name: str
    most: int
    period_s: int


class Limits:
    """Counts tries by what they are for: an address, a number, a name; only hashes of these are kept. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def take(self, tries: Sequence[tuple[Limit, str]]) -> None:
        """Count one try for each subject, the narrowest limit first, or none when one of them has had its most.

        Raises TooManyTries, ReadUnavailable when they cannot be counted.
        """
        keys = [_key(limit, subject) for limit, subject in tries]
        arguments = [str(value) for limit, _ in tries for value in (limit.most, limit.period_s)]
        with reading():
            answer = self._client.eval(_TAKE, len(keys), *keys, *arguments)
        exceeded, retry_after_s = cast(list[int], answer)
        if exceeded > 0:
            LIMITED.labels(tries[exceeded - 1][0].name).inc()
            raise TooManyTries(retry_after_s=retry_after_s)

    def forget(self, limit: Limit, subject: str) -> None:
        """Count a subject's tries from nothing. Raises ReadUnavailable."""
        with reading():
            self._client.delete(_key(limit, subject))


def _key(limit: Limit, subject: str) -> str:
    return f"ol:limit:{limit.name}:{sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
