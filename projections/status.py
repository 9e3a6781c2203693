"""How far each read model is behind the log, and whether it is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import redis
import sqlalchemy as sa

from ledger import log
from ledger.clock import now_us
from projections import generations
from projections.catalogue import FOLDS
from projections.generations import Checkpoint
from projections.redis_clients import reading

State = Literal["current", "behind", "stopped", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A read model's position, its lag in events and in seconds (since the first event not applied was recorded).

    behind: it lacks events, or is not read yet. stopped: `stopped_position` names the event that cannot be applied,
    `reason` says why. missing: nothing was drained yet, or Redis lost it.
    """

    name: str
    position: int
    lag_events: int
    lag_s: float
    state: State
    stopped_position: int | None = None
    reason: str | None = None


def status(client: redis.Redis, connection: sa.Connection) -> list[Status]:
    """Return the status of every read model. Raises ReadUnavailable when Redis cannot be reached."""
    # Before the head, so that no read model is ever seen ahead of it.
    with reading():
        seen = [(name, *_seen(client, name)) for name in FOLDS]
    head = log.head(connection).position
    return [_status(connection, head, *each) for each in seen]


def _seen(client: redis.Redis, name: str) -> tuple[Checkpoint | None, tuple[int, str] | None]:
    live = generations.live(client, name)
    checkpoint = None if live is None else live.checkpoint()
    if live is None or checkpoint is None:
        return None, None
    return checkpoint, live.stopped()


def _status(
    connection: sa.Connection, head: int, name: str, checkpoint: Checkpoint | None, stopped: tuple[int, str] | None
) -> Status:
    reached = 0 if checkpoint is None else checkpoint.position
    lag_events = max(0, head - reached)
    first = log.event_at(connection, reached + 1) if lag_events else None
    state: State = "current"
    if checkpoint is None:
        state = "missing"
    elif stopped is not None:
        state = "stopped"
    elif lag_events or checkpoint.is_building:
        state = "behind"
    return Status(
        name=name,
        position=reached,
        lag_events=lag_events,
        lag_s=0.0 if first is None else max(0.0, (now_us() - first.recorded_at_us) / 1_000_000),
        state=state,
        stopped_position=None if stopped is None else stopped[0],
        reason=None if stopped is None else stopped[1],
    )
