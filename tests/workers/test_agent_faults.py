"""The agent while its database goes away and comes back: every order ends, and the books agree (I15, I17)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent_office import FAST, Office
from executor_stub import Call, ExecutorStub, Reply
from ledger import migrate
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.errors import ReadUnavailable
from ledger.settings import LedgerSettings
from servers import PrivateMariaDB
from submissions import Desk, prove
from workers.agent import Agent
from workers.runner import Runner

ORDERS = 60


@pytest.fixture
def own_mariadb() -> Iterator[PrivateMariaDB]:
    with PrivateMariaDB() as server:
        yield server


def deliver_slowly(stub: ExecutorStub, call: Call) -> Reply | None:
    return replace(stub.deliver(call), delay_s=random.uniform(0.0, 0.3)) if call.method == "POST" else None


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_database_that_goes_away_costs_time_only(own_mariadb: PrivateMariaDB, stub: ExecutorStub, fault: str) -> None:
    url = own_mariadb.create_database("fault")
    migrate.upgrade(url)
    settings = LedgerSettings(statement_timeout_s=1.0, connect_timeout_s=1.0, append_timeout_s=2.0)
    engine = open_engine(url, settings)
    desk = Desk(Ledger(engine, settings), engine)
    stub.behaviour = deliver_slowly
    office = Office(
        desk=desk, stub=stub, account_id=desk.open(recharged_minor=10_000_000), product_settings={"url": stub.url}
    )
    order_ids = [office.place(1) for _ in range(ORDERS)]
    agent = Agent(office.runner(replace(FAST, agent_calls_max=8)), lambda: None)
    stop = threading.Event()
    jobs = threading.Thread(target=lambda: [agent.work(1.0) or stop.wait(0.2) for _ in iter(stop.is_set, True)])
    jobs.start()

    time.sleep(0.4)
    if fault == "killed":
        own_mariadb.kill()
        time.sleep(1.5)
        own_mariadb.restart()
    else:
        own_mariadb.pause()
        time.sleep(3.0)
        own_mariadb.resume()

    ends_at_s = time.monotonic() + 40
    while any(office.order(each).status != "completed" for each in order_ids):
        assert time.monotonic() < ends_at_s, "orders are still open"
        time.sleep(0.3)
    stop.set()
    jobs.join(10)
    agent.close()
    assert stub.book == {each: office.order(each).delivered for each in order_ids}
    assert set(stub.effects.values()) == {1}
    prove(engine)
    desk.ledger.close()
    engine.dispose()


def test_without_the_directory_nothing_begins_and_what_came_back_is_recorded(
    own_mariadb: PrivateMariaDB, stub: ExecutorStub
) -> None:
    url = own_mariadb.create_database("log")
    migrate.upgrade(url)
    settings = LedgerSettings()
    engine = open_engine(url, settings)
    desk = Desk(Ledger(engine, settings), engine)
    stub.behaviour = deliver_slowly
    office = Office(
        desk=desk, stub=stub, account_id=desk.open(recharged_minor=10_000_000), product_settings={"url": stub.url}
    )
    is_away = threading.Event()

    def executor_of(product: str) -> tuple[str, Mapping[str, Any]] | None:
        if is_away.is_set():
            raise ReadUnavailable(reason="the directory's database cannot be reached")
        return office.executor_of(product)

    runner = Runner(engine=engine, ledger=desk.ledger, executor_of=executor_of, settings=FAST)
    under_way = [office.place(1) for _ in range(5)]
    runner.advance(claiming=True)
    is_away.set()
    waiting = office.place(1)
    ends_at_s = time.monotonic() + 20
    while any(office.order(each).status != "completed" for each in under_way):
        assert time.monotonic() < ends_at_s, "what came back is not recorded"
        assert runner.advance(claiming=True) is not None
        time.sleep(0.05)
    left = office.order(waiting).status
    is_away.clear()
    while office.order(waiting).status != "completed":
        assert time.monotonic() < ends_at_s
        runner.advance(claiming=True)
        time.sleep(0.05)

    assert left == "placed"
    runner.close()
    prove(engine)
    desk.ledger.close()
    engine.dispose()
