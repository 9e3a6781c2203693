"""Compare a live read model with a fold of the log, key by key, while it moves.

Each comparison reads the checkpoint and a part of the read model in one transaction of Redis, and folds the log in
memory to that very position: a difference is damage, never haste.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import redis
import sqlalchemy as sa

from ledger import log
from ledger.errors import ReadUnavailable
from projections import keys
from projections.catalogue import fold_of
from projections.generations import CHECKPOINT_FIELDS, Generation, checkpoint_of
from projections.memory import MemoryModel
from projections.redis_clients import reading
from projections.walk import live_or_unavailable

DIFFERENCES_MAX = 100
SCAN_KEYS = 200
MEMBERS_MAX = 1_000
"""Members of a sorted set compared at a time."""
_BOOKKEEPING = frozenset({"checkpoint", "stopped", "builder"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A key (without the generation's prefix) that held something else than it should have at `position`."""

    key: str
    position: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was compared, up to which position, and the first differences."""

    position: int
    keys: int
    differences: tuple[Difference, ...]


def diff(engine: sa.Engine, client: redis.Redis, name: str, *, batch_events: int = 1_000) -> Comparison:
    """Compare a projection's live generation with the log.

    Raises ReadUnavailable when there is none or it was replaced meanwhile, steps.Unappliable.
    """
    with reading():
        live = live_or_unavailable(client, name)
        reference = _Reference(engine, name, batch_events)
        seen: set[str] = set()
        differences: list[Difference] = []
        for key in _all_keys(live, reference, seen):
            differences += _compare(live, reference, key)
            if len(differences) >= DIFFERENCES_MAX:
                break
    return Comparison(position=reference.position, keys=len(seen), differences=tuple(differences[:DIFFERENCES_MAX]))


class _Reference:
    """The fold of the log in memory, advanced as far as the read model was when it was read."""

    def __init__(self, engine: sa.Engine, name: str, batch_events: int) -> None:
        self.engine = engine
        self.fold = fold_of(name)
        self.batch_events = batch_events
        self.model = MemoryModel()
        self.position = 0

    def advance(self, position: int) -> None:
        """Fold up to a position. Raises ReadUnavailable when the fold is beyond it."""
        if position < self.position:
            raise ReadUnavailable(reason="the read model started again meanwhile")
        while self.position < position:
            limit = min(self.batch_events, position - self.position)
            with self.engine.connect() as connection:
                events = log.excerpts_after(connection, self.position, limit)
            if not events:
                raise ReadUnavailable(reason="the read model is ahead of the log")
            self.model.apply(self.fold(events, self.model))
            self.position = events[-1].position


def _all_keys(live: Generation, reference: _Reference, seen: set[str]) -> Iterator[str]:
    """Yield every key that is in Redis, then every one that should be."""
    for raw in cast("Iterator[bytes]", live.client.scan_iter(match=live.prefix + "*", count=SCAN_KEYS)):
        key = raw.decode()[len(live.prefix) :]
        if key not in seen and key not in _BOOKKEEPING:
            seen.add(key)
            yield key
    checkpoint = live.checkpoint()
    if checkpoint is None:
        raise ReadUnavailable(reason="the read model was replaced meanwhile")
    reference.advance(checkpoint.position)
    for key in sorted(reference.model.keys() - seen):
        seen.add(key)
        yield key


def _compare(live: Generation, reference: _Reference, key: str) -> Iterator[Difference]:
    kind = cast("bytes", live.client.type(live.prefix + key))
    if kind == b"hash" or (kind == b"none" and key in reference.model.hashes):
        found = _read(live, reference, lambda pipeline: pipeline.hgetall(live.prefix + key))
        expected = {name.encode(): value.encode() for name, value in reference.model.hashes.get(key, {}).items()}
        if found != expected:
            wrong = [name for name in {*found, *expected} if found.get(name) != expected.get(name)]
            sample = sorted(wrong)[0].decode(errors="replace")
            yield Difference(key=key, position=reference.position, problem=f"{len(wrong)} fields differ, as {sample}")
    elif kind == b"list" or (kind == b"none" and key in reference.model.lists):
        items = _read(live, reference, lambda pipeline: pipeline.lrange(live.prefix + key, 0, -1))
        if items != [each.encode() for each in reference.model.lists.get(key, [])]:
            yield Difference(key=key, position=reference.position, problem="its items differ")
    elif kind == b"string" or (kind == b"none" and key in reference.model.strings):
        bits = _read(live, reference, lambda pipeline: pipeline.get(live.prefix + key)) or b""
        if bits.rstrip(b"\0") != reference.model.string(key):
            yield Difference(key=key, position=reference.position, problem="its bits differ")
    elif kind in (b"zset", b"none"):
        yield from _compare_set(live, reference, key)
    else:
        yield Difference(key=key, position=reference.position, problem=f"is a {kind.decode()}")


def _compare_set(live: Generation, reference: _Reference, key: str) -> Iterator[Difference]:
    start, sorted_at, expected = 0, -1, []
    while True:
        last = start + MEMBERS_MAX - 1
        found = _read(live, reference, lambda each: each.zrange(live.prefix + key, start, last, withscores=True))  # noqa: B023
        if sorted_at != reference.position:
            sorted_at, expected = reference.position, reference.model.sorted_set(key)
        if [tuple(each) for each in found] != expected[start : last + 1]:
            yield Difference(key=key, position=reference.position, problem=f"differs after its first {start} members")
            return
        start += MEMBERS_MAX
        if start >= len(expected) and len(found) < MEMBERS_MAX:
            return


def _read(live: Generation, reference: _Reference, command: Any) -> Any:
    """Return what a command reads, and have the reference at the position of that moment."""
    pipeline = live.client.pipeline(transaction=True)
    pipeline.hmget(keys.checkpoint(live.name, live.generation), CHECKPOINT_FIELDS)
    command(pipeline)
    values, found = pipeline.execute()
    checkpoint = checkpoint_of(values)
    if checkpoint is None:
        raise ReadUnavailable(reason="the read model was replaced meanwhile")
    reference.advance(checkpoint.position)
    return found
