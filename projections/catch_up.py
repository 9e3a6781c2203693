"""Apply very many events: while Redis applies one batch, the next one is read and folded.

What a fold cannot take from the notes of the folds before, it reads only after these are applied. Whatever goes wrong
ends the run early; applying batch by batch (projections.drain) then says what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from ledger import log
from ledger.log import Excerpt
from projections.catalogue import fold_of
from projections.generations import Checkpoint, Generation
from projections.recent import Recent
from projections.steps import Unappliable

FAULTS = (Unappliable, ValueError, TypeError, LookupError)
"""What an event that cannot be applied, or a damaged read model, comes to."""


def batches_after(engine: sa.Engine, position: int, batch_events: int) -> Iterator[list[Excerpt]]:
    """Yield the log after a position in full batches, then what is left."""
    while True:
        with engine.connect() as connection:
            events = log.excerpts_after(connection, position, batch_events)
        if not events:
            return
        yield events
        position = events[-1].position


def catch_up(
    generation: Generation,
    checkpoint: Checkpoint,
    batches: Iterable[Sequence[Excerpt]],
    recent: Recent,
    *,
    applied: Callable[[], object] = lambda: None,
) -> None:
    """Apply batches that follow the checkpoint, as far as that goes; `applied` is called after each, in a thread.

    Raises redis.RedisError.
    """
    fold = fold_of(generation.name)
    reader = _Behind(generation)

    def apply(step: Any, before: Checkpoint, after: Checkpoint) -> bool:
        done = generation.apply(step, before=before, after=after)
        applied()
        return done

    with ThreadPoolExecutor(1) as beside, _voiding_unapplied(recent, reader):
        for events in batches:
            if events[0].position != checkpoint.position + 1 or events[-1].position != checkpoint.position + len(
                events
            ):
                break
            reader.recent = recent.at(generation, checkpoint)
            try:
                step = fold(events, reader)
            except FAULTS:
                break
            if not reader.is_settled():
                break
            after = checkpoint_at(events[-1])
            reader.pending = beside.submit(apply, step, checkpoint, after)
            recent.keep(generation, checkpoint, step.noted, after)
            checkpoint = after


def checkpoint_at(event: Excerpt) -> Checkpoint:
    """Return the checkpoint of a read model whose last event this is."""
    return Checkpoint(position=event.position, leaf=event.leaf, at_us=event.recorded_at_us)


@contextmanager
def _voiding_unapplied(recent: Recent, reader: _Behind) -> Iterator[None]:
    """Wait for the last step at the end; unless it was applied, nobody may believe what it noted."""
    is_applied = False
    try:
        try:
            yield
        finally:
            is_applied = reader.is_settled()
    finally:
        if not is_applied:
            recent.forget()


class _Behind:
    """Reads a generation after the step under way."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self.recent: Mapping[Any, Any] = {}
        self.pending: Future[bool] | None = None

    def is_settled(self) -> bool:
        """Wait for the step under way and say whether it was applied."""
        try:
            return self.pending is None or self.pending.result()
        except FAULTS:
            return False

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        """Return the value of each (hash, field)."""
        if wanted:
            self.is_settled()
        return self._generation.fields(wanted)

    def items(self, wanted: Sequence[tuple[str, int]]) -> list[str | None]:
        """Return the value of each (list, index)."""
        if wanted:
            self.is_settled()
        return self._generation.items(wanted)
