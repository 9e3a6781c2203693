"""Facts are remembered no longer than said, and read once for all that ask at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.errors import ReadUnavailable
from ledger.remembering import Gathering, Remembered


class Source:
    """A table that counts how often it is read; a read waits while `held`."""

    def __init__(self, **rows: int) -> None:
        self.rows = rows
        self.reads: list[list[str]] = []
        self.held = threading.Event()
        self.held.set()

    def read(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.reads.append(list(keys))
        found = {key: self.rows[key] for key in keys if key in self.rows}
        assert self.held.wait(10)
        return found


def remembered(source: Source, *, remember_s: float = math.inf, entries_max: int = 10) -> Remembered[str, int]:
    return Remembered(source.read, remember_s=remember_s, entries_max=entries_max)


def test_what_was_found_is_read_once_and_what_was_not_is_read_again() -> None:
    source = Source(a=1)
    known = remembered(source)

    assert [known.get("a"), known.get("a"), known.get("b"), known.get("b")] == [1, 1, None, None]
    assert source.reads == [["a"], ["b"], ["b"]]


def test_a_change_is_seen_after_the_time_said_and_at_once_when_it_is_forgotten() -> None:
    source = Source(a=1)
    known = remembered(source, remember_s=0.2)
    assert known.get("a") == 1

    source.rows["a"] = 2
    at_once = known.get("a")
    time.sleep(0.21)
    later = known.get("a")
    source.rows["a"] = 3
    known.forget()

    assert (at_once, later, known.get("a")) == (1, 2, 3)


def test_what_was_read_before_a_change_is_not_remembered_after_it() -> None:
    source = Source(a=1)
    known = remembered(source)
    source.held.clear()

    with ThreadPoolExecutor(1) as others:
        slow = others.submit(known.get, "a")
        while not source.reads:
            time.sleep(0.001)
        source.rows["a"] = 2
        known.forget()
        source.held.set()

    assert slow.result() == 1
    assert known.get("a") == 2


def test_while_one_looks_again_the_others_go_on_with_what_is_still_good() -> None:
    source = Source(a=1)
    known = remembered(source, remember_s=2)
    known.get("a")
    time.sleep(1.01)
    source.held.clear()

    with ThreadPoolExecutor(1) as others:
        again = others.submit(known.get, "a")
        while len(source.reads) < 2:
            time.sleep(0.001)
        meanwhile = [known.get("a") for _ in range(5)]
        source.held.set()

    assert meanwhile == [1] * 5 and again.result() == 1
    assert len(source.reads) == 2


def test_all_that_ask_during_a_read_share_the_next() -> None:
    source = Source(**{str(number): number for number in range(50)})
    known = remembered(source, entries_max=100)
    source.held.clear()

    with ThreadPoolExecutor(50) as others:
        asked = [others.submit(known.get, str(number)) for number in range(50)]
        while len(source.reads) < 1:
            time.sleep(0.001)
        time.sleep(0.3)
        source.held.set()
        answers = [each.result() for each in asked]

    assert answers == list(range(50))
    assert len(source.reads) <= 3


def test_many_are_learned_in_one_read_and_the_oldest_make_room() -> None:
    source = Source(**{str(number): number for number in range(30)})
    known = remembered(source, entries_max=10)

    known.learn(str(number) for number in range(15))
    known.learn(str(number) for number in range(10, 15))

    assert len(source.reads) == 1
    assert known.get("14") == 14 and len(source.reads) == 1
    assert known.get("0") == 0 and len(source.reads) == 2


def test_an_error_reaches_all_that_asked_and_the_next_read_is_another_try() -> None:
    failing = [True]

    def read(keys: Sequence[str]) -> Mapping[str, int]:
        if failing[0]:
            time.sleep(0.05)
            raise ReadUnavailable(reason="gone")
        return dict.fromkeys(keys, 1)

    gathering = Gathering(read)
    with ThreadPoolExecutor(4) as others:
        for each in [others.submit(gathering.get, "a") for _ in range(4)]:
            with pytest.raises(ReadUnavailable):
                each.result()
    failing[0] = False

    assert gathering.get("a") == 1 and not gathering.is_reading


def test_a_fault_of_the_reader_leaves_nobody_waiting() -> None:
    def read(_: Sequence[str]) -> Mapping[str, int]:
        time.sleep(0.05)
        raise ZeroDivisionError

    gathering = Gathering(read)
    with ThreadPoolExecutor(3) as others:
        errors = [others.submit(gathering.get, "a").exception() for _ in range(3)]

    assert {type(each) for each in errors} <= {ZeroDivisionError, ReadUnavailable}
    assert not gathering.is_reading


class AwayNow(Source):
    """A table whose database may be away."""

    is_away = False

    def read(self, keys: Sequence[str]) -> Mapping[str, int]:
        found = super().read(keys)
        if self.is_away:
            raise ReadUnavailable(reason="the database cannot be reached")
        return found


def test_while_reading_fails_what_was_found_counts_for_a_grace() -> None:
    source = AwayNow(a=1)
    known = Remembered(source.read, remember_s=0.05, entries_max=10, grace_s=0.6)
    assert known.get("a") == 1

    source.is_away = True
    time.sleep(0.1)
    within = [known.get("a") for _ in range(20)]
    with pytest.raises(ReadUnavailable):
        known.get("b")
    time.sleep(0.6)

    assert within == [1] * 20
    assert len(source.reads) <= 4, "everybody asked a database that is away"
    with pytest.raises(ReadUnavailable):
        known.get("a")


def test_what_was_ended_does_not_come_back_while_reading_fails() -> None:
    source = AwayNow(a=1)
    known = Remembered(source.read, remember_s=0.05, entries_max=10, grace_s=60)
    assert known.get("a") == 1

    del source.rows["a"]
    time.sleep(0.1)
    ended = known.get("a")
    source.is_away = True

    assert ended is None
    with pytest.raises(ReadUnavailable):
        known.get("a")


def test_what_is_read_again_after_a_failure_is_new() -> None:
    source = AwayNow(a=1)
    known = Remembered(source.read, remember_s=0.05, entries_max=10, grace_s=60)
    known.get("a")
    source.is_away = True
    time.sleep(0.1)
    assert known.get("a") == 1

    source.is_away, source.rows["a"] = False, 2
    ends_at_s = time.monotonic() + 10
    while known.get("a") == 1:
        assert time.monotonic() < ends_at_s
        time.sleep(0.1)

    assert known.get("a") == 2
