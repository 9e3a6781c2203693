"""Wake every read model that is behind: what a lost wake-up, job, worker or Redis left undone. And tidy up."""

from __future__ import annotations

import redis
import sqlalchemy as sa

from projections import rebuild
from projections.status import status
from projections.wake import wake


def sweep(client: redis.Redis, queue_redis: redis.Redis, engine: sa.Engine) -> list[str]:
    """Wake the projections that are behind the log or missing, and drop what nobody reads; return whom it woke.

    Raises ReadUnavailable, redis.RedisError.
    """
    with engine.connect() as connection:
        found = status(client, connection)
    behind = [each.name for each in found if each.state in ("behind", "missing")]
    for name in behind:
        wake(queue_redis, name)
    for each in found:
        rebuild.drop_abandoned(client, each.name)
    return behind
