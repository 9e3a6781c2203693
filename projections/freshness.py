"""Wait until a read model reflects a position: a reader's own writes, or those it was told of."""

from __future__ import annotations

import time

import redis

from projections import generations
from projections.redis_clients import reading

POLL_S_MIN, POLL_S_MAX = 0.004, 0.05


def position_of(client: redis.Redis, name: str) -> int:
    """Return the position that a read model reflects; 0 when there is none (yet). Raises ReadUnavailable."""
    with reading():
        live = generations.live(client, name)
        checkpoint = None if live is None else live.checkpoint()
    return 0 if checkpoint is None else checkpoint.position


def wait_for(client: redis.Redis, name: str, position: int, timeout_s: float) -> int:
    """Wait until the read model reflects `position`, at most `timeout_s`; return what it reflects then.

    The caller compares: a lower position means that time ran out. Raises ReadUnavailable.
    """
    ends_at_s = time.monotonic() + timeout_s
    pause_s = POLL_S_MIN
    while True:
        reflected = position_of(client, name)
        left_s = ends_at_s - time.monotonic()
        if reflected >= position or left_s <= 0:
            return reflected
        time.sleep(min(pause_s, left_s))
        pause_s = min(POLL_S_MAX, pause_s * 1.5)
