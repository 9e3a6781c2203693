"""Facts that are read often and change seldom: remembered for a while, and read together when many ask at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ledger.errors import LedgerError, ReadUnavailable

TURN_S_MAX = 2.0
"""How long a read may wait for the one before it."""
ANSWER_S_MAX = 9.0
"""How long the others wait for the one that reads for them."""

AWAY_S = 2.0
"""How long a database that could not be read is not asked again, while what was remembered will do."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Group(Generic[Key, Value]):
    keys: dict[Key, None] = field(default_factory=dict)
    found: Mapping[Key, Value] | None = None
    error: LedgerError | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Remembered(Generic[Key, Value]):
    """Returns what `read` found for a key at most `remember_s` ago; what is not there is never remembered. Thread-safe.

    While reading fails what was found at most `grace_s` before counts on. With more than `entries_max` the oldest are read
    again.
    """

    def __init__(
        self,
        read: Callable[[Sequence[Key]], Mapping[Key, Value]],
        *,
        remember_s: float,
        entries_max: int,
        grace_s: float = 0.0,
    ) -> None:
        self._read = read
        self._grace_s = grace_s
        self._failed_at_s: float | None = None
        self._remember_s = remember_s
        self._entries_max = entries_max
        self._known: dict[Key, tuple[float, Value]] = {}
        self._forgotten = 0
        self._changing = threading.Lock()
        self._asked = Gathering(self._look_up)

    def get(self, key: Key) -> Value | None:
        """Return the value, None when there is none. Raises what reading raises, and ReadUnavailable."""
        remembered = self._known.get(key)
        if remembered is not None:
            age_s = time.monotonic() - remembered[0]
            # One looks again in good time, so that not all must at the same moment.
            if age_s < self._remember_s and (age_s < self._remember_s / 2 or self._asked.is_reading):
                return remembered[1]
            if age_s < self._grace_s:
                # Not everybody waits for a database that was away a moment ago, and is asked again by one.
                has_failed = self._failed_at_s is not None and time.monotonic() - self._failed_at_s < AWAY_S
                if has_failed or (self._failed_at_s is not None and self._asked.is_reading):
                    return remembered[1]
                try:
                    found = self._asked.get(key)
                except ReadUnavailable:
                    self._failed_at_s = time.monotonic()
                    return remembered[1]
                self._failed_at_s = None
                return found
        return self._asked.get(key)

    def learn(self, keys: Iterable[Key]) -> None:
        """Read those that are not known, so that `get` need not one by one. Raises what reading raises."""
        unknown = [each for each in dict.fromkeys(keys) if each not in self._known]
        if unknown:
            self._look_up(unknown)

    def forget(self) -> None:
        """Read everything again: something was changed."""
        with self._changing:
            self._forgotten += 1
            self._known.clear()

    def _look_up(self, keys: Sequence[Key]) -> Mapping[Key, Value]:
        now, forgotten = time.monotonic(), self._forgotten
        found = self._read(keys)
        with self._changing:
            # What was read before a change that is forgotten by now must not come back.
            if forgotten == self._forgotten:
                for key in keys:
                    # What was ended must not come back while reading fails.
                    if key not in found:
                        self._known.pop(key, None)
                self._known.update({key: (now, value) for key, value in found.items()})
                while len(self._known) > self._entries_max:
                    del self._known[next(iter(self._known))]
        return found


class Gathering(Generic[Key, Value]):
    """Gives each thread its value from a read for all that asked meanwhile: while one is on its way, the next gathers.

    The read always begins after the asking, so that nobody is given what was true only before. Thread-safe.
    """

    def __init__(self, read: Callable[[Sequence[Key]], Mapping[Key, Value]]) -> None:
        self._read = read
        self._joining = threading.Lock()
        self._reading = threading.Lock()
        self._next: _Group[Key, Value] | None = None

    @property
    def is_reading(self) -> bool:
        """Whether a read is on its way."""
        return self._reading.locked()

    def get(self, key: Key) -> Value | None:
        """Return what is read for the key, None when there is nothing.

        Raises what the read raised, ReadUnavailable when its turn or its answer does not come in time.
        """
        with self._joining:
            group, leads = self._next, self._next is None
            if group is None:
                group = self._next = _Group()
            group.keys[key] = None
        if leads:
            self._lead(group)
        elif not group.done.wait(ANSWER_S_MAX):
            raise ReadUnavailable(reason="the database did not answer in time")
        if group.error is not None:
            raise group.error
        if group.found is None:
            # A fault of ours, which shows where it happened.
            raise ReadUnavailable(reason="an internal error")
        return group.found.get(key)

    def _lead(self, group: _Group[Key, Value]) -> None:
        in_turn = self._reading.acquire(timeout=TURN_S_MAX)
        with self._joining:
            self._next = None
        try:
            if not in_turn:
                raise ReadUnavailable(reason="the database did not answer in time")
            group.found = self._read(list(group.keys))
        except LedgerError as error:
            group.error = error
        finally:
            if in_turn:
                self._reading.release()
            group.done.set()
