"""Sums of what happened and of what money there is, at any half hour, are those of the log itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass

import pytest

from ledger import log
from ledger.clock import now_us
from ledger.events import Recorded
from projections.activity import SLOT_US, SLOTS_PER_DAY, Tally, read_activity
from projections.context import Context
from projections.diff import diff
from projections.drain import drain_with
from projections.steps import Step
from shop import fill
from submissions import Desk

NOON_US = 1_790_000_000_000_000 // SLOT_US * SLOT_US


@dataclass(slots=True)
class Clock:
    """The time that events are recorded at; each look moves it by up to some hours."""

    chance: random.Random
    now_us: int = NOON_US

    def __call__(self) -> int:
        self.now_us += self.chance.randrange(20 * 3_600_000_000)
        return self.now_us


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(random.Random(5))
    monkeypatch.setattr("ledger.append.committer.now_us", clock)
    return clock


def legs(event: Recorded) -> Counter[str]:
    """Return what an event did to all available and all held money, by its postings."""
    found: Counter[str] = Counter()
    for leg in json.loads(event.postings):
        kind = leg["account"].rpartition(":")[2]
        if kind in ("available", "held"):
            found[kind] += leg["amount_minor"]
    return found


def test_sums_are_those_of_the_log_at_every_half_hour(desk: Desk, use: Context, clock: Clock) -> None:
    accounts = fill(desk.ledger, random.Random(11), customers=3, orders=150)
    for account_id in accounts:
        desk.deduct(account_id, 50)
    drain_with(use, "transactions", linger_s=0)
    with use.engine.connect() as connection:
        events = [each for each in log.events_after(connection, 0, 10_000) if each.postings != b"[]"]
    assert events[-1].recorded_at_us - events[0].recorded_at_us > 2 * SLOTS_PER_DAY * SLOT_US
    moments = sorted({each.recorded_at_us // SLOT_US * SLOT_US for each in events} | {NOON_US})
    since = moments[len(moments) // 2]

    found = read_activity(use.redis, since_us=since, before_us=moments, now_us=clock.now_us)

    assert found.position == events[-1].position
    for moment, money in zip([*moments, clock.now_us + 1], [*found.money_before, found.money], strict=True):
        sums = sum((legs(each) for each in events if each.recorded_at_us < moment), Counter())
        wanted = {"available": sums["available"], "held": sums["held"]}
        assert {
            "available": sum(each.available_minor for each in money),
            "held": sum(each.held_minor for each in money),
        } == wanted
    later = [each for each in events if each.recorded_at_us >= since]
    assert {each.type: each.events for each in found.happened} == Counter(each.type for each in later)
    amounts = {each.type: each.amount_minor for each in found.happened}
    for name in ("order.completed", "order.resolved"):
        captured = -sum(sum(legs(each).values()) for each in later if each.type == name)
        assert amounts.get(name, 0) == captured
    placed = sum(legs(each)["held"] for each in later if each.type == "order.placed")
    assert amounts["order.placed"] == placed
    assert not diff(use.engine, use.redis, "transactions").differences


def test_sums_beyond_two_to_the_53rd_are_exact(desk: Desk, use: Context) -> None:
    desk.open(recharged_minor=1)
    drain_with(use, "transactions", linger_s=0)
    accounts = [desk.open(recharged_minor=10**15 - 1) for _ in range(20)]

    drain_with(use, "transactions", linger_s=0)

    (money,) = read_activity(use.redis, since_us=now_us(), before_us=[], now_us=now_us()).money
    assert money.available_minor == len(accounts) * (10**15 - 1) + 1 > 2**53


def test_a_tally_adds_up_before_it_is_written() -> None:
    tally, step = Tally(), Step()
    tally.add(NOON_US, "CNY", "c", 100, -500)
    tally.add(NOON_US + 1, "CNY", "c", 0, -500)
    tally.write(step)

    day, slot = divmod(NOON_US // SLOT_US, SLOTS_PER_DAY)
    assert dict(step.changes[f"n:{day}"]) == {f"{slot}:CNY:c:n": 2, f"{slot}:CNY:c:m": 900}
    assert dict(step.changes["t"]) == {"CNY:a": 100, "CNY:h": -1_000}
