"""How often something may be tried: counters in Redis, raised before the try, so that tries at the same time count too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

import redis

from api.errors import TooManyTries
from api.figures import LIMITED
from projections.redis_clients import reading

_TAKE = """local retry_after_s = 0
for i = 1, #KEYS do
  local count = redis.call('INCR', KEYS[i])
  if count == 1 then redis.call('EXPIRE', KEYS[i], ARGV[2 * i]) end
  if count > tonumber(ARGV[2 * i - 1]) then
    local left_s = redis.call('TTL', KEYS[i])
    if left_s > retry_after_s then retry_after_s = left_s end
  end
end
return retry_after_s"""


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
        """Count one try for each subject. Raises TooManyTries, ReadUnavailable when they cannot be counted."""
        keys = [_key(limit, subject) for limit, subject in tries]
        arguments = [str(value) for limit, _ in tries for value in (limit.most, limit.period_s)]
        with reading():
            retry_after_s = int(cast(int, self._client.eval(_TAKE, len(keys), *keys, *arguments)))
        if retry_after_s > 0:
            for limit, _ in tries:
                LIMITED.labels(limit.name).inc()
            raise TooManyTries(retry_after_s=retry_after_s)

    def forget(self, limit: Limit, subject: str) -> None:
        """Count a subject's tries from nothing. Raises ReadUnavailable."""
        with reading():
            self._client.delete(_key(limit, subject))


def _key(limit: Limit, subject: str) -> str:
    return f"ol:limit:{limit.name}:{sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
