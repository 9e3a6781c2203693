"""Make a read model again from position 1, beside the live one, then switch: readers notice nothing.

A rebuild that dies leaves a generation that nobody fills; the sweeper drops it when its builder's mark has expired.
"""

from __future__ import annotations

from typing import cast

import redis
import sqlalchemy as sa
import structlog

from ledger import log
from projections import generations, keys
from projections.catalogue import fold_of
from projections.catch_up import batches_after, catch_up
from projections.drain import apply_batch
from projections.figures import REBUILT
from projections.generations import Checkpoint, Generation
from projections.recent import Recent

BUILDER_S = 120
"""How long a generation may go without progress before it counts as abandoned."""
FILLS_MAX = 10
"""How often a new generation catches up with a live one that went on meanwhile. Then it takes its place all the same: the
live one may be of another log."""
BEGINNING = Checkpoint(position=0, leaf="", at_us=0)

_log = structlog.get_logger(__name__)


class RebuildLost(Exception):
    """The rebuild came to nothing: Redis lost it, or someone else replaced the live generation first."""


def rebuild(engine: sa.Engine, client: redis.Redis, name: str, *, batch_events: int = 1_000) -> int:
    """Rebuild a projection and switch to it; return the position it then reflects.

    Raises steps.Unappliable when an event cannot be applied (the live read model stays as it is), RebuildLost,
    redis.RedisError.
    """
    fold_of(name)
    replaced = generations.live(client, name)
    new = Generation(client, name, generations.new_generation())
    _mark(new)
    client.sadd(keys.generations(name), new.generation)
    client.hset(keys.checkpoint(name, new.generation), mapping={"position": "0", "leaf": "", "at_us": "0"})
    position = _fill_and_switch(engine, new, "" if replaced is None else replaced.generation, batch_events)
    if position is None:
        generations.drop(client, name, new.generation)
        raise RebuildLost(f"{name} was replaced by someone else, or Redis lost the new one")
    client.delete(keys.builder(name, new.generation))
    REBUILT.labels(name).inc()
    _log.info("read-model-rebuilt", projection=name, position=position)
    if replaced is not None:
        generations.drop(client, name, replaced.generation)
    return position


def resume(client: redis.Redis, name: str) -> None:
    """Let a stopped projection try again, after whatever stopped it was put right."""
    live = generations.live(client, name)
    if live is not None:
        live.resume()


def drop_abandoned(client: redis.Redis, name: str) -> int:
    """Drop generations that are neither live nor being filled; return how many."""
    dropped = 0
    for each in cast("set[bytes]", client.smembers(keys.generations(name))):
        generation = each.decode()
        if client.exists(keys.builder(name, generation)):
            continue
        # Looked at after the mark: a builder switches first and takes its mark away then.
        live = generations.live(client, name)
        if live is None or live.generation != generation:
            generations.drop(client, name, generation)
            dropped += 1
    return dropped


def _fill_and_switch(engine: sa.Engine, new: Generation, old: str, batch_events: int) -> int | None:
    """Make it live in place of `old`, no reader being taken back; return its position, None when `old` is not live now."""
    checkpoint = BEGINNING
    for fills_left in reversed(range(FILLS_MAX)):
        checkpoint = _fill(engine, new, checkpoint, batch_events)
        switched = generations.run_script(
            new.client,
            "switch",
            [keys.pointer(new.name), *(keys.checkpoint(new.name, each) for each in (new.generation, old))],
            [new.generation, old, int(fills_left == 0)],
        )
        if switched >= 0:
            break
    return checkpoint.position if switched == 1 else None


def _fill(engine: sa.Engine, new: Generation, checkpoint: Checkpoint, batch_events: int) -> Checkpoint:
    """Apply the log from the checkpoint to its end; what is appended after that, the drain applies."""
    recent = Recent()
    while True:
        batches = batches_after(engine, checkpoint.position, batch_events)
        catch_up(new, checkpoint, batches, recent, applied=lambda: _mark(new))
        found = new.checkpoint()
        if found is None or found.position < checkpoint.position:
            raise RebuildLost(f"Redis lost the new {new.name}")
        checkpoint = found
        with engine.connect() as connection:
            events = log.excerpts_after(connection, checkpoint.position, batch_events)
        # Nothing is left but what was appended meanwhile, or what cannot be applied: that is told here.
        if apply_batch(new, checkpoint, events, recent) == 0:
            return checkpoint
        _mark(new)


def _mark(new: Generation) -> None:
    new.client.set(keys.builder(new.name, new.generation), b"1", ex=BUILDER_S)
