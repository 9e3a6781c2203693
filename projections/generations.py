"""Generations of a read model: each is filled from position 1 on, one at a time is live.

Data and checkpoint of a generation change together or not at all. When Redis loses everything, the pointer to the
live generation goes too, and the next drain starts another one from the beginning of the log. That one is not read before
a drain has been at the end of the log with it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import redis

from projections import keys
from projections.figures import APPLIED, APPLY_S, STOPPED
from projections.steps import Step

READ_VALUES_MAX = 2_000
"""Values read in one step of Redis."""
SCRIPTS_MAX = 32
"""Scripts whose digest is remembered for a client."""
DELETE_KEYS_MAX = 500
"""Keys deleted in one go, so that no other client waits long."""
CHECKPOINT_FIELDS = ["position", "leaf", "at_us", "building_to"]
"""What is stored of a checkpoint."""
NO_POSITION = 2**53 - 1
"""Further than any log, and exact in Lua."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a generation is: the last position applied, that event's leaf hash and time.

    `building_to` is `NO_POSITION` from when the generation is begun until a drain is at the end of the log with it, then 0.
    Earlier versions write the head that the log has when it is begun, and compare as this one does.
    """

    position: int
    leaf: str
    at_us: int
    building_to: int = field(default=0, compare=False)

    @property
    def is_building(self) -> bool:
        """Whether it has never been at the end of the log: nothing may be read of it then."""
        return self.position < self.building_to


@cache
def script(name: str) -> str:
    """Return the text of one of the package's Lua scripts."""
    return (Path(__file__).parent / f"{name}.lua").read_text()


def run_script(client: redis.Redis, name: str, script_keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """Run one of the package's scripts, loading it when Redis does not know it (any more)."""
    return _registered(client, name)(keys=script_keys, args=arguments)


@lru_cache(SCRIPTS_MAX)
def _registered(client: redis.Redis, name: str) -> Any:
    return client.register_script(script(name))


class Generation:
    """One generation of one projection in Redis."""

    def __init__(self, client: redis.Redis, name: str, generation: str) -> None:
        self.client = client
        self.name = name
        self.generation = generation
        self.prefix = keys.data(name, generation)
        self.recent: Mapping[Any, Any] = {}

    def checkpoint(self) -> Checkpoint | None:
        """Return how far it is; None when it is gone."""
        values = cast(
            "list[bytes | None]",
            self.client.hmget(keys.checkpoint(self.name, self.generation), CHECKPOINT_FIELDS),
        )
        return checkpoint_of(values)

    def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
        """Return the value of each (hash, field)."""
        return self._values("HGET", wanted)

    def items(self, wanted: Sequence[tuple[str, int]]) -> list[str | None]:
        """Return the value of each (list, index)."""
        return self._values("LINDEX", wanted)

    def _values(self, command: str, wanted: Sequence[tuple[str, str | int]]) -> list[str | None]:
        """Read in one script: a pipeline costs the client more for each command than Redis for doing it."""
        found: list[str | None] = []
        for start in range(0, len(wanted), READ_VALUES_MAX):
            flat = chain.from_iterable(wanted[start : start + READ_VALUES_MAX])
            values = run_script(self.client, "read", [], [self.prefix, command, *flat])
            found += [None if value is None else value.decode() for value in values]
        return found

    def apply(self, step: Step, *, before: Checkpoint, after: Checkpoint, finishes: bool = False) -> bool:
        """Apply a step computed at `before`; False when someone else moved the checkpoint, or it is gone.

        `finishes`: it is read from here on, as `after` is the end of the log.
        """
        began_s = time.perf_counter()
        done = run_script(
            self.client,
            "apply",
            [keys.checkpoint(self.name, self.generation)],
            [before.position, after.position, after.leaf, after.at_us, self.prefix, step.writes(), int(finishes)],
        )
        if done:
            APPLY_S.labels(self.name).observe(time.perf_counter() - began_s)
            APPLIED.labels(self.name).inc(after.position - before.position)
        return bool(done)

    def stop(self, position: int, reason: str, *, at: Checkpoint) -> bool:
        """Note that the event at this position cannot be applied; False when someone moved the checkpoint, or it is gone.

        What was read after Redis went back to an earlier state, as at a failover, says nothing about the checkpoint.
        """
        done = run_script(
            self.client,
            "stop",
            [keys.checkpoint(self.name, self.generation), keys.stopped(self.name, self.generation)],
            [at.position, position, reason],
        )
        if done:
            STOPPED.labels(self.name).inc()
        return bool(done)

    def finish(self, *, at: Checkpoint) -> None:
        """Let it be read, as it has all there is in the log; nothing when someone moved the checkpoint."""
        run_script(self.client, "built", [keys.checkpoint(self.name, self.generation)], [at.position])

    def stopped(self) -> tuple[int, str] | None:
        """Return position and reason when it is stopped."""
        values = cast(
            "list[bytes | None]",
            self.client.hmget(keys.stopped(self.name, self.generation), ["position", "reason"]),
        )
        return None if values[0] is None else (int(values[0]), (values[1] or b"").decode())

    def resume(self) -> None:
        """Forget that it was stopped."""
        self.client.delete(keys.stopped(self.name, self.generation))


def checkpoint_of(values: Sequence[bytes | None]) -> Checkpoint | None:
    """Build a checkpoint from its fields as stored; None when there is none."""
    position, leaf, at_us, building_to = values
    if position is None:
        return None
    return Checkpoint(
        position=int(position), leaf=(leaf or b"").decode(), at_us=int(at_us or 0), building_to=int(building_to or 0)
    )


def live(client: redis.Redis, name: str) -> Generation | None:
    """Return the live generation, None when there is none (any more)."""
    generation = cast("bytes | None", client.get(keys.pointer(name)))
    return None if generation is None else Generation(client, name, generation.decode())


def look(client: redis.Redis, name: str) -> tuple[Generation, Checkpoint | None, bool] | None:
    """Return the live generation, how far it is and whether it is stopped, in one round trip; None when there is none."""
    found = run_script(client, "look", [keys.pointer(name)], [keys.beginning(name)])
    if not found:
        return None
    generation, *values, is_stopped = found
    return Generation(client, name, generation.decode()), checkpoint_of(values), bool(is_stopped)


def start(client: redis.Redis, name: str, *, instead_of: str = "", is_building: bool = False) -> Generation:
    """Return the live generation, an empty new one when there is none, or when it is `instead_of`.

    `is_building`: the new one is not read before it is finished.
    """
    new = new_generation()
    found = run_script(
        client,
        "start",
        [keys.pointer(name), keys.generations(name), keys.checkpoint(name, new)],
        [new, instead_of, NO_POSITION if is_building else 0],
    )
    return Generation(client, name, found.decode())


def new_generation() -> str:
    """Return a name no generation ever had."""
    return uuid4().hex[:12]


def drop(client: redis.Redis, name: str, generation: str) -> int:
    """Delete a generation in bounded steps, its checkpoint first: who still reads it sees that it is gone."""
    client.delete(keys.checkpoint(name, generation))
    deleted, cursor = 0, 0
    while True:
        cursor, found = cast(
            "tuple[int, list[bytes]]",
            client.scan(cursor, match=keys.data(name, generation) + "*", count=DELETE_KEYS_MAX),
        )
        if found:
            deleted += len(found)
            client.unlink(*found)
        if cursor == 0:
            client.srem(keys.generations(name), generation)
            return deleted
