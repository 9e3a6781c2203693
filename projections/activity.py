"""What happened by half hours, and what money all accounts have: sums that the transactions read model keeps.

Half hours of UTC, because a day begins at another time in each zone; nearly every zone's days begin with one of them.
A sum is exact up to 9.2 * 10**18 minor units, what Redis counts up to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from ledger.errors import ReadUnavailable
from projections import keys, transaction_layout
from projections.generations import CHECKPOINT_FIELDS, checkpoint_of
from projections.redis_clients import reading
from projections.steps import Step
from projections.transaction_documents import CAPTURING, TYPES_BY_CODE
from projections.walk import SWITCHES_MAX, live_or_unavailable

NAME = "transactions"
SLOT_US = 1_800_000_000
SLOTS_PER_DAY = 48
DAYS_MAX = 400
AVAILABLE, HELD = "a", "h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The money of all accounts in a currency, in minor units."""

    currency: str
    available_minor: int
    held_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """How many events of a type there were in a currency's accounts, and what they moved, or captured, in minor units."""

    type: str
    currency: str
    events: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The sums as of `position`: money now and at each moment that was asked for, and what happened since another."""

    position: int
    money: Sequence[Money]
    money_before: Sequence[Sequence[Money]]
    happened: Sequence[Happened]


class Tally:
    """Adds up a batch of transactions."""

    def __init__(self) -> None:
        self._sums: defaultdict[tuple[int, str, str], list[int]] = defaultdict(_zeros)

    def add(self, recorded_at_us: int, currency: str, code: str, available_minor: int, held_minor: int) -> None:
        """Add what an event of a type (by its code) did to its account's available and held money."""
        sums = self._sums[recorded_at_us // SLOT_US, currency, code]
        sums[0] += 1
        sums[1] += available_minor
        sums[2] += held_minor
        # What was captured has left both; whatever else moved, moved by the larger of the two.
        sums[3] += -(available_minor + held_minor) if code in CAPTURING else max(abs(available_minor), abs(held_minor))

    def write(self, step: Step) -> None:
        """Count the sums in a step."""
        for (slot, currency, code), (events, available_minor, held_minor, amount_minor) in self._sums.items():
            day, within = divmod(slot, SLOTS_PER_DAY)
            happened, moved = transaction_layout.happened(day), transaction_layout.moved(day)
            step.count(happened, f"{within}:{currency}:{code}:n", events)
            step.count(happened, f"{within}:{currency}:{code}:m", amount_minor)
            for which, change_minor in ((AVAILABLE, available_minor), (HELD, held_minor)):
                step.count(moved, f"{within}:{currency}:{which}", change_minor)
                step.count(transaction_layout.MONEY, f"{currency}:{which}", change_minor)


def read_activity(client: redis.Redis, *, since_us: int, before_us: Sequence[int], now_us: int) -> Activity:
    """Return what money there is and was right before each moment of `before_us`, and what happened since `since_us`.

    A moment within a half hour counts as that half hour's beginning. Raises ReadUnavailable.
    """
    since_day, today = since_us // SLOT_US // SLOTS_PER_DAY, now_us // SLOT_US // SLOTS_PER_DAY
    first_day = min([since_day, *(each // SLOT_US // SLOTS_PER_DAY for each in before_us)])
    if today - first_day > DAYS_MAX:
        raise ValueError(f"at most {DAYS_MAX} days")
    # A clock that is ahead may have written in tomorrow.
    moved_days, happened_days = range(first_day, today + 2), range(since_day, today + 2)
    with reading():
        for _ in range(SWITCHES_MAX):
            live = live_or_unavailable(client, NAME)
            pipeline = client.pipeline(transaction=True)
            pipeline.hmget(keys.checkpoint(NAME, live.generation), CHECKPOINT_FIELDS)
            pipeline.hgetall(live.prefix + transaction_layout.MONEY)
            for day in moved_days:
                pipeline.hgetall(live.prefix + transaction_layout.moved(day))
            for day in happened_days:
                pipeline.hgetall(live.prefix + transaction_layout.happened(day))
            values, now, *rest = pipeline.execute()
            checkpoint = checkpoint_of(values)
            if checkpoint is not None:
                if checkpoint.is_building:
                    raise ReadUnavailable(reason="the read model is being built")
                moved = _changes(moved_days, rest[: len(moved_days)])
                since = _changes(happened_days, rest[len(moved_days) :])
                return Activity(
                    position=checkpoint.position,
                    money=_money({name.decode(): int(value) for name, value in now.items()}),
                    money_before=_money_before(now, moved, [each // SLOT_US for each in before_us]),
                    happened=_happened(since, since_us // SLOT_US),
                )
    raise ReadUnavailable(reason="the read model is being replaced")


def _zeros() -> list[int]:
    return [0, 0, 0, 0]


def _changes(days: Sequence[int], hashes: Sequence[Mapping[bytes, bytes]]) -> list[tuple[int, str, int]]:
    """Return (slot, field without the slot, value), the latest slot first."""
    found = []
    for day, fields in zip(days, hashes, strict=True):
        for name, value in fields.items():
            within, _, field = name.decode().partition(":")
            found.append((day * SLOTS_PER_DAY + int(within), field, int(value)))
    return sorted(found, reverse=True)


def _money(sums: Mapping[str, int]) -> list[Money]:
    currencies = sorted({field.partition(":")[0] for field in sums})
    return [
        Money(
            currency=code,
            available_minor=sums.get(f"{code}:{AVAILABLE}", 0),
            held_minor=sums.get(f"{code}:{HELD}", 0),
        )
        for code in currencies
    ]


def _money_before(
    now: Mapping[bytes, bytes], changes: Sequence[tuple[int, str, int]], slots: Sequence[int]
) -> list[list[Money]]:
    """Return the money before each slot: that of now, without what changed since."""
    sums = defaultdict(int, {name.decode(): int(value) for name, value in now.items()})
    found: dict[int, list[Money]] = {}
    at = 0
    for slot in sorted(set(slots), reverse=True):
        while at < len(changes) and changes[at][0] >= slot:
            _, field, change = changes[at]
            sums[field] -= change
            at += 1
        found[slot] = _money(sums)
    return [found[slot] for slot in slots]


def _happened(changes: Sequence[tuple[int, str, int]], since_slot: int) -> list[Happened]:
    sums: defaultdict[str, int] = defaultdict(int)
    for slot, field, value in changes:
        if slot >= since_slot:
            sums[field] += value
    kinds = sorted({tuple(field.split(":")[:2]) for field in sums})
    found = [
        Happened(
            type=TYPES_BY_CODE[code],
            currency=currency,
            events=sums[f"{currency}:{code}:n"],
            amount_minor=sums[f"{currency}:{code}:m"],
        )
        for currency, code in cast("list[Any]", kinds)
    ]
    return sorted(found, key=lambda each: (each.type, each.currency))
