"""Draining is exact whatever happens: twice, two at once, killed between steps, Redis emptied, events that cannot be read."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
import redis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.database import open_engine
from ledger.settings import LedgerSettings
from projections import generations, keys, order_layout, order_walk
from projections.context import Context
from projections.diff import diff
from projections.drain import drain_once, drain_with
from projections.freshness import position_of, wait_for
from projections.order_filters import OrderFilters
from projections.order_walk import Gone, OrderWalk
from projections.rebuild import drop_abandoned, rebuild, resume
from projections.recent import Recent
from projections.redis_clients import open_redis
from projections.status import status
from projections.steps import Unappliable
from projections.sweep import sweep
from projections.wake import PROJECTIONS
from shop import fill
from submissions import Desk


def fill_shop(desk: Desk, orders: int = 100) -> None:
    fill(desk.ledger, random.Random(3), customers=3, orders=orders)
    account_id = desk.open(recharged_minor=500)
    desk.deduct(account_id, 100)


def drain_all(use: Context) -> None:
    for name in PROJECTIONS:
        drain_with(use, name, linger_s=0)


def states(use: Context) -> dict[str, str]:
    with use.engine.connect() as connection:
        return {each.name: each.state for each in status(use.redis, connection)}


def dump(use: Context, name: str) -> dict[str, object]:
    """Everything the live generation holds, in one order."""
    live = generations.live(use.redis, name)
    assert live is not None
    found: dict[str, object] = {}
    for raw in use.redis.scan_iter(match=live.prefix + "*"):
        key = raw.decode()[len(live.prefix) :]
        if use.redis.type(raw) == b"hash":
            found[key] = sorted(use.redis.hgetall(raw).items())
        elif use.redis.type(raw) == b"list":
            found[key] = use.redis.lrange(raw, 0, -1)
        elif use.redis.type(raw) == b"string":
            # A bit that was set and cleared leaves zero bytes that say nothing.
            found[key] = use.redis.get(raw).rstrip(b"\0")
        else:
            found[key] = use.redis.zrange(raw, 0, -1, withscores=True)
    return found


def expect_exact(use: Context) -> None:
    for name in PROJECTIONS:
        compared = diff(use.engine, use.redis, name)
        assert compared.differences == ()
        assert compared.keys > 0
        assert position_of(use.redis, name) == compared.position


def test_every_read_model_equals_a_fold_of_the_log(desk: Desk, use: Context) -> None:
    fill_shop(desk)

    drain_all(use)

    expect_exact(use)
    assert set(states(use).values()) == {"current"}


def test_a_read_model_is_exact_at_every_step(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=50)

    while drain_once(use.engine, use.redis, "orders", 13):
        assert diff(use.engine, use.redis, "orders").differences == ()


def test_two_drains_at_once_apply_everything_once(desk: Desk, use: Context) -> None:
    fill_shop(desk)

    def run() -> None:
        with open_redis(use.settings.redis_url) as client:
            while drain_once(use.engine, client, "orders", 7):
                pass

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert diff(use.engine, use.redis, "orders").differences == ()
    assert states(use)["orders"] == "current"


def drain_for_ever(url: str, redis_url: str) -> None:
    engine = open_engine(url, LedgerSettings())
    client = open_redis(redis_url)
    while True:
        for name in PROJECTIONS:
            drain_once(engine, client, name, 3)


def test_drains_killed_at_any_moment_leave_exact_read_models(desk: Desk, use: Context, sqlite_ledger_url: str) -> None:
    fill_shop(desk, orders=150)
    chance = random.Random(5)

    for _ in range(5):
        process = multiprocessing.get_context("spawn").Process(
            target=drain_for_ever, args=(sqlite_ledger_url, use.settings.redis_url), daemon=True
        )
        before = position_of(use.redis, "orders")
        process.start()
        wait_for(use.redis, "orders", before + 1, 20)
        time.sleep(chance.random() / 50)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        expect_exact_so_far(use)

    drain_all(use)
    expect_exact(use)


def expect_exact_so_far(use: Context) -> None:
    for name in PROJECTIONS:
        if generations.live(use.redis, name) is not None:
            assert diff(use.engine, use.redis, name).differences == ()


def test_a_redis_emptied_at_any_moment_is_filled_again(desk: Desk, use: Context) -> None:
    fill_shop(desk)
    stop = threading.Event()

    def empty() -> None:
        with open_redis(use.settings.redis_url) as client:
            for _ in range(5):
                client.flushall()
                time.sleep(0.02)
        stop.set()

    thread = threading.Thread(target=empty)
    thread.start()
    while not stop.is_set():
        for name in PROJECTIONS:
            drain_once(use.engine, use.redis, name, 17)
    thread.join()

    drain_all(use)
    expect_exact(use)


def kept(client: redis.Redis) -> dict[bytes, bytes]:
    """Everything that Redis holds at one moment: what it would have saved."""
    flat = cast(
        "list[bytes]",
        client.eval(
            "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do"
            " all[#all + 1] = key all[#all + 1] = redis.call('DUMP', key) end return all",
            0,
        ),
    )
    return dict(zip(flat[::2], flat[1::2], strict=True))


def bring_back(client: redis.Redis, saved: dict[bytes, bytes]) -> None:
    """Make Redis what it was, at one blow, as a restart from an older save or a failover to a late replica does."""
    with client.pipeline(transaction=True) as pipe:
        pipe.flushdb()
        for name, value in saved.items():
            pipe.restore(name, 0, value)
        pipe.execute()


def test_a_redis_taken_back_to_an_earlier_state_at_any_moment_goes_on_from_there(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=60)
    drain_all(use)
    notes = {name: Recent() for name in PROJECTIONS}
    stop = threading.Event()
    chance = random.Random(11)
    went_back = []

    def take_back() -> None:
        with open_redis(use.settings.redis_url) as client:
            for _ in range(8):
                saved, before = kept(client), position_of(client, "orders")
                time.sleep(chance.random() / 10)
                after = position_of(client, "orders")
                bring_back(client, saved)
                went_back.append(after - before)
        stop.set()

    thread = threading.Thread(target=take_back)
    thread.start()
    while not stop.is_set():
        fill_shop(desk, orders=3)
        for name in PROJECTIONS:
            drain_with(use, name, linger_s=0, recent=notes[name])
    thread.join()

    for name in PROJECTIONS:
        drain_with(use, name, linger_s=0, recent=notes[name])
    assert max(went_back) > 0
    expect_exact(use)


def test_a_redis_taken_back_between_a_look_and_a_read_stops_nothing(desk: Desk, use: Context) -> None:
    desk.open(recharged_minor=100)
    live = generations.start(use.redis, "balances")
    saved = kept(use.redis)
    drain_once(use.engine, use.redis, "balances", 1)

    # The log is read after the look and before the account that the recharge is of.
    sa.event.listen(use.engine, "after_cursor_execute", lambda *_: bring_back(use.redis, saved), once=True)
    applied = drain_once(use.engine, use.redis, "balances", 10)

    assert (applied, position_of(use.redis, "balances"), live.stopped()) == (1, 0, None)
    drain_with(use, "balances", linger_s=0)
    assert position_of(use.redis, "balances") == 2
    assert diff(use.engine, use.redis, "balances").differences == ()


@contextmanager
def gone_back_at_the_end(desk: Desk, use: Context) -> Iterator[None]:
    """Fill the orders read model; at the end take Redis back to when it had a third."""
    fill_shop(desk, orders=50)
    drain_with(use, "orders", linger_s=0)
    saved = kept(use.redis)
    fill_shop(desk, orders=100)
    drain_with(use, "orders", linger_s=0)
    yield
    bring_back(use.redis, saved)


def test_what_a_window_holds_is_not_read_of_a_redis_that_went_back_since_the_first_look(
    desk: Desk, use: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_layout, "WINDOW", 64)
    with gone_back_at_the_end(desk, use):
        walk = OrderWalk(use.redis, OrderFilters(amount_min_minor=1), descending=False)

    with pytest.raises(Gone):
        list(walk.windows())


def test_no_order_is_read_of_a_redis_that_went_back_since_the_first_look(desk: Desk, use: Context) -> None:
    with gone_back_at_the_end(desk, use):
        walk = OrderWalk(use.redis, OrderFilters(amount_min_minor=1), descending=False)

    with pytest.raises(Gone):
        walk.documents([1])


def test_no_references_are_read_of_a_redis_that_went_back_since_the_first_look(
    desk: Desk, use: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_walk, "NAMED_MAX", 2)
    with gone_back_at_the_end(desk, use):
        walk = OrderWalk(use.redis, OrderFilters(reference_prefix="inv"), descending=False)
    assert walk.is_open

    with pytest.raises(Gone):
        walk.name_all()


def damage(engine: sa.Engine, statement: str) -> None:
    """Do to the log what its triggers forbid."""
    with engine.connect().execution_options(write=True) as connection:
        for name in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(statement)
        connection.commit()


def test_an_event_that_cannot_be_read_stops_only_the_projections_that_read_it(desk: Desk, use: Context) -> None:
    account_id = desk.open(recharged_minor=10_000)
    outcome = desk.place(account_id)
    desk.recharge(account_id, 5)
    damage(use.engine, f"UPDATE events SET data = x'7b7d' WHERE position = {outcome.position}")

    drain_all(use)

    assert states(use) == {"balances": "current", "orders": "stopped", "transactions": "stopped"}
    with use.engine.connect() as connection:
        stopped = {each.name: each.stopped_position for each in status(use.redis, connection)}
    assert stopped["orders"] == outcome.position
    assert position_of(use.redis, "orders") == outcome.position - 1


def test_a_stopped_projection_goes_on_after_the_fault_is_mended(desk: Desk, use: Context) -> None:
    account_id = desk.open(recharged_minor=10_000)
    position = desk.place(account_id).position
    damage(use.engine, f"CREATE TABLE kept AS SELECT * FROM events WHERE position = {position}")
    damage(use.engine, f"UPDATE events SET data = x'3f' WHERE position = {position}")
    drain_all(use)
    damage(use.engine, f"UPDATE events SET data = (SELECT data FROM kept) WHERE position = {position}")
    drain_all(use)
    assert states(use)["orders"] == "stopped"

    for name in PROJECTIONS:
        resume(use.redis, name)
    drain_all(use)

    expect_exact(use)


def test_a_gap_in_the_log_stops_the_projections_behind_it_only(desk: Desk, use: Context) -> None:
    account_id = desk.open(recharged_minor=10_000)
    position = desk.recharge(account_id, 7).position
    desk.recharge(account_id, 8)
    drain_with(use, "balances", linger_s=0)
    damage(use.engine, f"DELETE FROM events WHERE position = {position}")

    drain_all(use)

    assert states(use) == {"balances": "current", "orders": "stopped", "transactions": "stopped"}
    assert position_of(use.redis, "orders") == position - 1


def test_the_read_models_of_another_log_are_made_anew(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=50)
    drain_all(use)
    damage(use.engine, "DELETE FROM events WHERE position > 20")
    damage(use.engine, "UPDATE log_head SET position = 20")

    drain_all(use)

    expect_exact(use)
    assert position_of(use.redis, "orders") == 20


def test_damage_in_redis_is_found_and_mended_by_a_rebuild(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=50)
    drain_all(use)
    live = generations.live(use.redis, "orders")
    assert live is not None
    part, index = order_layout.document(3)
    use.redis.lset(live.prefix + part, index, "")
    bitmap, bit = order_layout.status_bit("p", 4_000)
    use.redis.setbit(live.prefix + bitmap, bit, 1)
    use.redis.delete(live.prefix + order_layout.REFERENCES)

    found = diff(use.engine, use.redis, "orders")
    rebuild(use.engine, use.redis, "orders")

    assert {each.key for each in found.differences} == {
        part,
        bitmap,
        order_layout.REFERENCES,
    }
    expect_exact(use)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch_events=st.integers(1, 400))
@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_rebuild_is_the_same_for_any_size_of_batch(filled: Context, name: str, batch_events: int) -> None:
    rebuild(filled.engine, filled.redis, name, batch_events=10_000)
    expected = dump(filled, name)
    expected.pop("checkpoint")

    rebuild(filled.engine, filled.redis, name, batch_events=batch_events)

    found = dump(filled, name)
    found.pop("checkpoint")
    assert found == expected


@pytest.fixture
def filled(desk: Desk, use: Context) -> Context:
    fill_shop(desk, orders=50)
    return use


def test_a_rebuild_leaves_nothing_of_the_old_generation(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=50)
    drain_all(use)
    before = use.redis.dbsize()

    position = rebuild(use.engine, use.redis, "orders")

    assert use.redis.dbsize() == before
    assert position_of(use.redis, "orders") == position


def test_a_rebuild_takes_no_reader_back(desk: Desk, use: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_shop(desk, orders=50)
    drain_all(use)
    run_script, reached = generations.run_script, []

    def overtaken(client: redis.Redis, name: str, *more: object) -> object:
        if name == "switch" and len(reached) < 3:
            desk.open()
            drain_with(use, "orders", linger_s=0)
            reached.append(position_of(use.redis, "orders"))
        return run_script(client, name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(generations, "run_script", overtaken)
    position = rebuild(use.engine, use.redis, "orders")

    assert position_of(use.redis, "orders") == position == reached[-1]
    assert diff(use.engine, use.redis, "orders").differences == ()


def test_a_rebuild_takes_the_place_of_one_that_is_further_than_the_log(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=50)
    drain_all(use)
    live = generations.live(use.redis, "orders")
    assert live is not None
    head = position_of(use.redis, "orders")
    use.redis.hset(keys.checkpoint("orders", live.generation), "position", head + 100)

    assert rebuild(use.engine, use.redis, "orders") == head

    assert position_of(use.redis, "orders") == head
    assert diff(use.engine, use.redis, "orders").differences == ()


def test_a_rebuild_over_an_event_that_cannot_be_read_leaves_the_live_one(desk: Desk, use: Context) -> None:
    account_id = desk.open(recharged_minor=10_000)
    position = desk.place(account_id).position
    drain_all(use)
    damage(use.engine, f"UPDATE events SET data = x'3f' WHERE position = {position}")

    with pytest.raises(Unappliable):
        rebuild(use.engine, use.redis, "orders")

    assert position_of(use.redis, "orders") == position


def test_the_sweeper_drops_generations_that_nobody_fills(desk: Desk, use: Context) -> None:
    fill_shop(desk, orders=50)
    drain_all(use)
    before = use.redis.dbsize()
    abandoned = generations.Generation(use.redis, "orders", "abandoned")
    use.redis.hset(abandoned.prefix + "d:1", "1", "x")
    use.redis.sadd(keys.generations("orders"), "abandoned")

    assert drop_abandoned(use.redis, "orders") == 1

    assert use.redis.dbsize() == before


def test_the_sweeper_wakes_whoever_is_behind(desk: Desk, use: Context) -> None:
    desk.open()
    assert sweep(use.redis, use.queue_redis, use.engine) == list(PROJECTIONS)
    drain_all(use)
    assert sweep(use.redis, use.queue_redis, use.engine) == []
    desk.open()
    drain_with(use, "orders", linger_s=0)

    assert sweep(use.redis, use.queue_redis, use.engine) == ["balances", "transactions"]


def test_waiting_for_a_position_ends_when_it_is_reflected_or_time_is_up(desk: Desk, use: Context) -> None:
    desk.open()
    assert wait_for(use.redis, "balances", 1, 0.05) == 0
    drain_all(use)

    assert wait_for(use.redis, "balances", 1, 5) == 1
