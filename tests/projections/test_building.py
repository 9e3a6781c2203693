"""A read model that is being built says so to its readers, until it has been at the end of the log."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import redis

from ledger import log
from ledger.clock import now_us
from ledger.errors import ReadUnavailable
from projections import generations, keys, transaction_search
from projections import search as order_search
from projections.activity import read_activity
from projections.balances import read_balances
from projections.context import Context
from projections.drain import drain_once, drain_with
from projections.freshness import position_of
from projections.order_filters import OrderFilters
from projections.rebuild import rebuild
from projections.status import status
from projections.sweep import sweep
from projections.transaction_search import TransactionFilters
from projections.wake import PROJECTIONS
from shop import fill
from submissions import Desk

Read = Callable[[redis.Redis], object]

READERS: list[tuple[str, Read]] = [
    ("balances", lambda client: read_balances(client, ["cus_1"])),
    ("orders", lambda client: order_search.search(client, OrderFilters())),
    ("orders", lambda client: order_search.search(client, OrderFilters(), sort="amount")),
    ("orders", lambda client: order_search.read_orders(client, ["ord_1"])),
    ("orders", lambda client: order_search.count_by_status(client, OrderFilters())),
    ("orders", lambda client: order_search.count_by_status(client, OrderFilters(reference="x"))),
    ("transactions", lambda client: transaction_search.search(client, TransactionFilters())),
    ("transactions", lambda client: read_activity(client, since_us=now_us(), before_us=[], now_us=now_us())),
]
every_reader = pytest.mark.parametrize(("name", "read"), READERS)


def fill_shop(desk: Desk) -> None:
    fill(desk.ledger, random.Random(3), customers=3, orders=50)


def head(use: Context) -> int:
    with use.engine.connect() as connection:
        return log.head(connection).position


def expect_unavailable(use: Context, read: Read) -> None:
    with pytest.raises(ReadUnavailable, match="being built"):
        read(use.redis)


@every_reader
def test_nothing_is_read_of_a_read_model_before_it_has_all_that_the_log_has(
    desk: Desk, use: Context, name: str, read: Read
) -> None:
    fill_shop(desk)
    begun_at = head(use)
    assert drain_once(use.engine, use.redis, name, 10) == 10
    expect_unavailable(use, read)

    fill_shop(desk)
    assert drain_once(use.engine, use.redis, name, begun_at) == begun_at
    assert position_of(use.redis, name) > begun_at
    expect_unavailable(use, read)

    drain_with(use, name, linger_s=0)
    read(use.redis)


@every_reader
def test_a_read_model_of_a_log_that_grows_with_every_look_is_read(
    desk: Desk, use: Context, name: str, read: Read
) -> None:
    fill_shop(desk)
    drain_once(use.engine, use.redis, name, head(use))
    expect_unavailable(use, read)

    desk.open()
    assert drain_once(use.engine, use.redis, name, 10) == 1

    read(use.redis)


@every_reader
def test_a_read_model_that_was_begun_by_an_earlier_version_is_read_once_it_has_what_the_log_had_then(
    desk: Desk, use: Context, name: str, read: Read
) -> None:
    fill_shop(desk)
    live = generations.start(use.redis, name)
    use.redis.hset(keys.checkpoint(name, live.generation), "building_to", 20)

    assert drain_once(use.engine, use.redis, name, 10) == 10
    expect_unavailable(use, read)
    assert drain_once(use.engine, use.redis, name, 10) == 10

    read(use.redis)


@every_reader
def test_a_read_model_that_was_whole_is_read_while_it_is_behind(
    desk: Desk, use: Context, name: str, read: Read
) -> None:
    desk.open(recharged_minor=500)
    drain_with(use, name, linger_s=0)
    fill_shop(desk)
    assert drain_once(use.engine, use.redis, name, 10) == 10

    read(use.redis)


@every_reader
def test_the_read_model_of_an_empty_log_is_read_at_once(use: Context, name: str, read: Read) -> None:
    assert drain_once(use.engine, use.redis, name, 10) == 0

    read(use.redis)


@pytest.mark.parametrize("lost", ["its position", "its log"])
@every_reader
def test_nothing_is_read_of_one_that_takes_the_place_of_another_before_it_has_as_much(
    desk: Desk, use: Context, name: str, read: Read, lost: str
) -> None:
    fill_shop(desk)
    drain_with(use, name, linger_s=0)
    live = generations.live(use.redis, name)
    assert live is not None
    checkpoint = keys.checkpoint(name, live.generation)
    if lost == "its position":
        use.redis.hdel(checkpoint, "position")
    else:
        use.redis.hset(checkpoint, "leaf", "00")

    assert drain_once(use.engine, use.redis, name, 10) == 1
    expect_unavailable(use, read)
    assert drain_once(use.engine, use.redis, name, 10) == 10
    expect_unavailable(use, read)

    drain_with(use, name, linger_s=0)
    read(use.redis)


@every_reader
def test_a_log_that_ends_earlier_than_it_did_is_read_once_its_end_is_reached(
    desk: Desk, use: Context, name: str, read: Read
) -> None:
    desk.open(recharged_minor=500)
    live = generations.start(use.redis, name)
    use.redis.hset(keys.checkpoint(name, live.generation), "building_to", 1_000)
    expect_unavailable(use, read)

    assert drain_once(use.engine, use.redis, name, 10) == 2

    read(use.redis)


@every_reader
def test_the_sweeper_wakes_who_was_lost_between_the_last_event_and_the_end(
    desk: Desk, use: Context, name: str, read: Read
) -> None:
    fill_shop(desk)
    drain_once(use.engine, use.redis, name, head(use))
    expect_unavailable(use, read)

    assert name in sweep(use.redis, use.queue_redis, use.engine)
    drain_with(use, name, linger_s=0)

    read(use.redis)
    assert name not in sweep(use.redis, use.queue_redis, use.engine)


@every_reader
def test_a_rebuild_beside_one_that_is_being_built_is_read(desk: Desk, use: Context, name: str, read: Read) -> None:
    fill_shop(desk)
    drain_once(use.engine, use.redis, name, 10)

    rebuild(use.engine, use.redis, name)

    read(use.redis)


def test_a_read_model_that_is_being_built_counts_as_behind(desk: Desk, use: Context) -> None:
    fill_shop(desk)
    for name in PROJECTIONS:
        drain_once(use.engine, use.redis, name, 10)

    with use.engine.connect() as connection:
        found = status(use.redis, connection)

    assert [(each.position, each.state) for each in found] == [(10, "behind")] * len(PROJECTIONS)
