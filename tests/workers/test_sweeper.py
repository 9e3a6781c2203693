"""The sweeper finds what was left undone."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from agent_office import Office
from ledger.clock import now_us
from ledger.directory import customers, in_step
from ledger.directory.models import Customer
from ledger.schema import claims as claims_table
from workers import claims
from workers.maintenance import parts_of
from workers.process import Process
from workers.stopping import Stop
from workers.sweeper import Part, claims_part, orders_part, sweep


def test_a_part_that_fails_stops_neither_the_others_nor_itself() -> None:
    runs: list[str] = []
    stop = Stop()

    def fail() -> None:
        runs.append("failing")
        raise ConnectionError("gone")

    def count() -> None:
        runs.append("counting")
        if runs.count("counting") == 3:
            stop.set()

    sweep([Part(name="fails", interval_s=0.01, run=fail), Part(name="counts", interval_s=0.01, run=count)], stop)

    assert runs.count("failing") >= 2
    assert runs.count("counting") == 3


def test_parts_keep_their_own_intervals() -> None:
    runs: list[str] = []
    stop = Stop()
    threading.Timer(0.5, stop.set).start()

    sweep(
        [
            Part(name="often", interval_s=0.05, run=lambda: runs.append("often")),
            Part(name="rarely", interval_s=5.0, run=lambda: runs.append("rarely")),
        ],
        stop,
    )

    assert runs.count("rarely") == 1
    assert runs.count("often") >= 4


def test_the_agent_is_woken_for_a_placed_order_and_then_no_more(office: Office) -> None:
    woken: list[int] = []
    part = orders_part(office.desk.engine, lambda: woken.append(1), 1.0)
    part.run()
    assert woken == []

    order_id = office.place()
    part.run()
    assert woken == [1]

    office.work(order_id)
    part.run()
    assert woken == [1]


def test_the_agent_is_woken_when_a_lease_ran_out_or_a_cancellation_waits(office: Office) -> None:
    woken: list[int] = []
    part = orders_part(office.desk.engine, lambda: woken.append(1), 1.0)
    order_id, lost = office.place(), office.runner()
    lost._begin = lambda started, claimed_at_s: None  # type: ignore[method-assign]
    lost.turn(claiming=True)
    part.run()
    assert woken == []

    office.expire_leases()
    part.run()
    assert woken == [1]

    office.work(order_id)
    office.request_cancellation(order_id)
    part.run()
    assert woken == [1, 1]


def test_an_executing_order_without_a_claim_is_taken_up_again_and_the_executor_asked_first(office: Office) -> None:
    order_id, lost = office.place(), office.runner()
    lost.turn(claiming=True)
    office.work_until(lambda: len(office.stub.calls) == 1)
    with office.desk.engine.execution_options(write=True).begin() as connection:
        connection.execute(sa.delete(claims_table))

    claims_part(office.desk.engine, 1.0).run()
    (order,) = office.work(order_id)

    assert (order.status, order.attempt) == ("completed", 2)
    assert [call.method for call in office.stub.calls] == ["POST", "GET"]


def test_claims_of_ended_orders_go_in_bounded_batches(office: Office) -> None:
    order_ids = [office.place(1) for _ in range(5)]
    office.work(*order_ids)
    row = {"attempt": 1, "runner": "run_lost", "lease_until_us": 1, "due_at_us": now_us() + 10**9, "calls": 0}
    with office.desk.engine.execution_options(write=True).begin() as connection:
        connection.execute(sa.insert(claims_table), [{"order_id": each, **row} for each in order_ids])

    assert claims.drop_ended(office.desk.engine, 3) == 3
    assert claims.drop_ended(office.desk.engine, 3) == 2
    assert claims.drop_ended(office.desk.engine, 3) == 0


def test_customers_that_are_only_marked_in_step_are_found_round_and_round(
    sqlite_ledger_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_step, "STEP_CUSTOMERS", 1)
    process = Process({"ORDERLEDGER_DATABASE_URL": sqlite_ledger_url, "ORDERLEDGER_REDIS_URL": redis_url})
    directory, ledger = process.directory, process.ledger
    (part,) = [each for each in parts_of(process) if each.name == "directory"]
    made = customers.create(directory, ledger, [{"name": name, "currency": "CNY"} for name in "ab"], in_step.SYSTEM)
    ids = sorted(each["id"] for each in made)

    def limits(wanted_minor: int, sweeps: int) -> list[int]:
        with directory.writing() as session:
            session.execute(sa.update(Customer).values(credit_limit_minor=wanted_minor))
        for _ in range(sweeps):
            part.run()
        accounts = ledger.accounts(ids)
        return [accounts[each].credit_limit_minor for each in ids]

    first, both, again = limits(100, 1), limits(100, 1), limits(200, 3)
    process.close()

    assert first == [100, 0], "a step at a time"
    assert (both, again) == ([100, 100], [200, 200])


def test_a_sweep_ends_soon_after_it_is_told_to() -> None:
    stop = Stop()
    thread = threading.Thread(target=sweep, args=([Part(name="idle", interval_s=60.0, run=lambda: None)], stop))
    thread.start()
    time.sleep(0.05)

    began_s = time.monotonic()
    stop.set()
    thread.join(5)

    assert time.monotonic() - began_s < 1
