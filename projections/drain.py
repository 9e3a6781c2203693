"""Bring a read model up to date with the log: the job that a wake-up runs.

Any number may run at once and be killed at any moment: a step counts only if the checkpoint is where it was computed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from itertools import takewhile

import redis
import sqlalchemy as sa
import structlog

from ledger import log, tracing
from ledger.log import Excerpt
from projections import generations
from projections.catalogue import fold_of
from projections.catch_up import batches_after, catch_up, checkpoint_at
from projections.context import Context, context
from projections.generations import Checkpoint, Generation
from projections.recent import Recent
from projections.steps import Step, Unappliable
from projections.wake import clear_flag, wake

RUN_S = 19.0
"""Longest run of one job; RQ's own limit is above it."""
LINGER_S = 0.2
"""How long to look for more before ending: starting a job costs more than looking."""
POLL_S = 0.02
"""Pause between two looks: a part of the lag, and the reason why a look is worth its cost."""

_log = structlog.get_logger(__name__)


def drain(name: str) -> None:
    """Apply what the log has to the live generation of a projection."""
    drain_with(context(), name, recent=_recent_of(name))


@cache
def _recent_of(name: str) -> Recent:
    """What this process's drains noted: the next job goes on where the last one ended."""
    return Recent()


def drain_with(
    use: Context, name: str, *, run_s: float = RUN_S, linger_s: float = LINGER_S, recent: Recent | None = None
) -> None:
    """Apply events until none came for `linger_s`; after `run_s` ask for another run instead."""
    fold_of(name)
    recent = recent or Recent()
    # First of all: what is appended from here on may wake again, what was appended before is read below.
    clear_flag(use.queue_redis, name)
    ends_at_s = time.monotonic() + run_s
    idle_until_s = time.monotonic() + linger_s
    while True:
        applied = drain_once(use.engine, use.redis, name, use.settings.batch_events, recent)
        now_s = time.monotonic()
        if applied is None or (applied == 0 and now_s >= idle_until_s):
            return
        if now_s >= ends_at_s:
            clear_flag(use.queue_redis, name)
            wake(use.queue_redis, name)
            return
        if applied > 0:
            idle_until_s = now_s + linger_s
        if applied >= use.settings.batch_events:
            _catch_up(use, name, recent, ends_at_s)
        else:
            # Under load too: what comes meanwhile shares the cost of looking.
            time.sleep(min(POLL_S, linger_s))


def _catch_up(use: Context, name: str, recent: Recent, ends_at_s: float) -> None:
    """Apply full batches for as long as there are any and time is left."""
    live = generations.live(use.redis, name)
    checkpoint = None if live is None else live.checkpoint()
    if live is not None and checkpoint is not None:
        batch_events = use.settings.batch_events
        batches = takewhile(
            lambda batch: len(batch) == batch_events and time.monotonic() < ends_at_s,
            batches_after(use.engine, checkpoint.position, batch_events),
        )
        catch_up(live, checkpoint, batches, recent)


def drain_once(
    engine: sa.Engine, client: redis.Redis, name: str, batch_events: int, recent: Recent | None = None
) -> int | None:
    """Apply one batch to the live generation, making one when there is none. `recent` is kept from batch to batch.

    Return how many events were applied, by whomever; 0: none are left; None: it is stopped.
    """
    seen = generations.look(client, name)
    if seen is None:
        generations.start(client, name, is_building=True)
        seen = generations.look(client, name)
    if seen is None:
        # Redis lost the new one at once.
        return 1
    live, checkpoint, is_stopped = seen
    if checkpoint is None:
        # Only the data went, by someone's hand: what is left has no known position.
        generations.start(client, name, instead_of=live.generation, is_building=True)
        return 1
    if is_stopped:
        return None
    with engine.connect() as connection:
        # The event at the checkpoint comes along to see that this is the log the read model was made from.
        events = log.excerpts_after(connection, max(0, checkpoint.position - 1), batch_events + 1)
        if checkpoint.position > 0:
            if not events or events[0].position != checkpoint.position or events[0].leaf != checkpoint.leaf:
                if _is_another_log(connection, checkpoint):
                    _log.warning("read-model-of-another-log", projection=name, position=checkpoint.position)
                    generations.start(client, name, instead_of=live.generation, is_building=True)
                    return 1
                return _stopped(live, checkpoint, checkpoint.position, "the log has no such event any more")
            events = events[1:]
    events = events[:batch_events]
    # Less than was asked for is the end. What comes meanwhile does not count, or a busy log would never be at its end.
    finishes = checkpoint.is_building and len(events) < batch_events
    try:
        if not events:
            if finishes:
                live.finish(at=checkpoint)
            return 0
        with tracing.span("projection.batch", projection=name, position=events[-1].position, events=len(events)):
            return apply_batch(live, checkpoint, events, recent, finishes=finishes)
    except (ValueError, TypeError, LookupError):
        # What Redis holds is not what a step wrote. Only a rebuild helps, and a person should know why.
        _log.exception("read-model-damaged", projection=name, position=checkpoint.position)
        return _stopped(live, checkpoint, checkpoint.position + 1, "the read model is damaged; rebuild it")
    except Unappliable as stop:
        return _stopped(live, checkpoint, stop.position, stop.reason)


def _stopped(live: Generation, checkpoint: Checkpoint, position: int, reason: str) -> int | None:
    """Stop it where it is and return None; 1, as when someone was faster, if it is elsewhere by now."""
    if not live.stop(position, reason, at=checkpoint):
        return 1
    _log.error("projection-stopped", projection=live.name, position=position, reason=reason)
    return None


def apply_batch(
    generation: Generation,
    checkpoint: Checkpoint,
    events: Sequence[Excerpt],
    recent: Recent | None = None,
    *,
    finishes: bool = False,
) -> int:
    """Apply events that follow the checkpoint, up to the first that cannot be; return how many.

    `finishes`: with all of them it is at the end of the log. Raises Unappliable when the very first one cannot be applied.
    """
    follow = [each for number, each in enumerate(events, 1) if each.position == checkpoint.position + number]
    if not follow:
        if events:
            raise Unappliable(checkpoint.position + 1, "it is missing in the log")
        return 0
    recent = recent or Recent()
    generation.recent = recent.at(generation, checkpoint)
    step, follow = _fold(generation, follow)
    after = checkpoint_at(follow[-1])
    # When it was not applied, someone else was faster, and there is something to look for all the same.
    if generation.apply(step, before=checkpoint, after=after, finishes=finishes and len(follow) == len(events)):
        recent.keep(generation, checkpoint, step.noted, after)
    return len(follow)


def _fold(generation: Generation, events: list[Excerpt]) -> tuple[Step, list[Excerpt]]:
    fold = fold_of(generation.name)
    try:
        return fold(events, generation), events
    except Unappliable as stop:
        good = [each for each in events if each.position < stop.position]
        if not good:
            raise
        return fold(good, generation), good


def _is_another_log(connection: sa.Connection, checkpoint: Checkpoint) -> bool:
    """Say whether the log ends before the checkpoint, or has another event there."""
    event = log.event_at(connection, checkpoint.position)
    if event is None:
        return log.head(connection).position < checkpoint.position
    return event.leaf_hash.hex() != checkpoint.leaf
