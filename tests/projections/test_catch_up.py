"""Catching up: batches folded ahead of Redis come to the same, and what is noted is believed only where it is true."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import redis

from ledger import log
from projections import generations
from projections.catch_up import batches_after, catch_up
from projections.context import Context
from projections.diff import diff
from projections.drain import drain_once, drain_with
from projections.freshness import position_of
from projections.generations import Checkpoint, Generation
from projections.recent import NOTES_MAX, Recent
from projections.wake import PROJECTIONS
from shop import fill
from submissions import Desk


@pytest.fixture
def head(desk: Desk, use: Context) -> int:
    """The head of a log with orders in every state."""
    fill(desk.ledger, random.Random(3), customers=3, orders=100)
    with use.engine.connect() as connection:
        return log.head(connection).position


def run(use: Context, name: str, recent: Recent, batch_events: int) -> Generation:
    live = generations.start(use.redis, name)
    checkpoint = live.checkpoint()
    assert checkpoint is not None
    catch_up(live, checkpoint, batches_after(use.engine, checkpoint.position, batch_events), recent)
    return live


@pytest.mark.parametrize("name", PROJECTIONS)
def test_catching_up_leaves_what_a_fold_of_the_log_leaves(use: Context, name: str, head: int) -> None:
    run(use, name, Recent(), 13)

    assert position_of(use.redis, name) == head
    assert diff(use.engine, use.redis, name).differences == ()


@pytest.mark.parametrize("name", PROJECTIONS)
def test_what_was_not_noted_is_read_after_the_step_under_way(use: Context, name: str, head: int) -> None:
    class Forgetful(Recent):
        def at(self, generation: Generation, checkpoint: Checkpoint) -> dict[object, object]:
            return {}

    run(use, name, Forgetful(), 13)

    assert position_of(use.redis, name) == head
    assert diff(use.engine, use.redis, name).differences == ()


def test_a_catch_up_that_someone_overtakes_ends_and_harms_nothing(use: Context, head: int) -> None:
    live = generations.start(use.redis, "orders")
    checkpoint = live.checkpoint()
    assert checkpoint is not None
    drain_once(use.engine, use.redis, "orders", 50)

    catch_up(live, checkpoint, batches_after(use.engine, 0, 10), Recent())

    assert position_of(use.redis, "orders") == 50
    assert diff(use.engine, use.redis, "orders").differences == ()


@pytest.mark.parametrize("name", PROJECTIONS)
def test_notes_of_a_step_that_someone_else_was_faster_with_are_void(use: Context, name: str, head: int) -> None:
    class Overtaken(Generation):
        is_overtaken = False

        def fields(self, wanted: Sequence[tuple[str, str]]) -> list[str | None]:
            if not self.is_overtaken:
                self.is_overtaken = True
                drain_once(use.engine, use.redis, name, 10)
            return super().fields(wanted)

    live = generations.start(use.redis, name)
    drain_once(use.engine, use.redis, name, 10)
    checkpoint = live.checkpoint()
    assert checkpoint is not None
    recent = Recent()

    slow = Overtaken(use.redis, name, live.generation)
    catch_up(slow, checkpoint, batches_after(use.engine, checkpoint.position, 10), recent)
    drain_once(use.engine, use.redis, name, 10, recent)

    assert slow.is_overtaken
    assert position_of(use.redis, name) == 30
    assert diff(use.engine, use.redis, name).differences == ()


def test_notes_of_a_step_that_redis_did_not_answer_to_are_void(use: Context, head: int) -> None:
    recent, live = Recent(), generations.start(use.redis, "transactions")
    drain_once(use.engine, use.redis, "transactions", 10, recent)
    checkpoint = live.checkpoint()
    assert checkpoint is not None

    def cut() -> None:
        raise redis.ConnectionError

    with pytest.raises(redis.ConnectionError):
        catch_up(live, checkpoint, batches_after(use.engine, 10, 10), recent, applied=cut)

    after = live.checkpoint()
    assert after is not None and after.position == 20
    assert recent.at(live, after) == {}


def test_notes_outlive_a_job_and_are_void_after_redis_lost_everything(desk: Desk, use: Context, head: int) -> None:
    recent = Recent()
    drain_with(use, "orders", linger_s=0, recent=recent)
    use.redis.flushall()
    account_id = desk.open(recharged_minor=10_000)
    desk.place(account_id)

    drain_with(use, "orders", linger_s=0, recent=recent)
    desk.place(account_id)
    drain_with(use, "orders", linger_s=0, recent=recent)

    assert diff(use.engine, use.redis, "orders").differences == ()


def test_notes_are_bounded_and_the_youngest_stay(use: Context) -> None:
    generation = generations.start(use.redis, "orders")
    recent, before = Recent(), Checkpoint(position=0, leaf="", at_us=0)
    for position in range(1, 5):
        after = Checkpoint(position=position, leaf="", at_us=0)
        recent.keep(generation, before, {(position, number): 1 for number in range(NOTES_MAX // 2)} | {"c": 0}, after)
        before = after

    found = recent.at(generation, before)

    assert len(found) <= NOTES_MAX and "c" in found and (4, 0) in found and (1, 0) not in found
    assert recent.at(generation, Checkpoint(position=4, leaf="other", at_us=0)) == {}


def test_a_drain_far_behind_catches_up(use: Context, head: int) -> None:
    small = Context(
        engine=use.engine,
        redis=use.redis,
        queue_redis=use.queue_redis,
        settings=type(use.settings)(redis_url=use.settings.redis_url, batch_events=20),
    )

    drain_with(small, "transactions", linger_s=0)

    assert position_of(use.redis, "transactions") == head
    assert diff(use.engine, use.redis, "transactions").differences == ()
