"""Cancellations of executing orders are left to the agent: each once, under its own key, and none is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from api import orders
from api.cancelling import leave_to_the_agent
from ledger.append.group import Plan, decide_group
from ledger.commands import CancelOrder, StartOrder
from ledger.database import open_engine, url_of
from ledger.errors import OutcomeUnknown
from ledger.schema import cancellation_requests, log_head
from ledger.settings import LedgerSettings
from ledger.submission import Outcome
from submissions import submission
from till import Till


@pytest.fixture(autouse=True)
def _soon(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(till.front.services, "settings", type(till.front.services.settings)(cancellation_wait_s=0.1))


def executing(till: Till) -> str:
    till.recharge("10.00")
    order_id: str = till.place(10).json["order"]["id"]
    till.front.services.ledger.append(submission(StartOrder(order_id=order_id, attempt=1, executor="test")))
    return order_id


def cancel(till: Till, order_id: str, key: str, **more: str) -> Any:
    return till.post(f"orders/{order_id}/cancellation", more, key=key)


def in_batch(till: Till, *wanted: tuple[str, str]) -> list[dict[str, Any]]:
    commands = [{"type": "cancellation", "idempotency_key": key, "order_id": order_id} for order_id, key in wanted]
    results: list[dict[str, Any]] = till.post("batches", {"commands": commands}).json["results"]
    return results


def answer_as_the_agent(till: Till, order_id: str, key: str, **confirmed: Any) -> Outcome:
    """Post the cancellation that waits, and forget its request."""
    engine = till.front.services.engine
    with engine.connect() as connection:
        (actor,) = connection.scalars(sa.select(cancellation_requests.c.actor))
    command = CancelOrder(order_id=order_id, **confirmed)
    outcome = till.front.services.ledger.append(submission(command, key, actor=actor, details={"reason": "late"}))
    with engine.execution_options(write=True).begin() as connection:
        connection.execute(sa.delete(cancellation_requests))
    return outcome


def asked(till: Till) -> set[str]:
    with till.front.services.engine.connect() as connection:
        return set(connection.scalars(sa.select(cancellation_requests.c.order_id)))


def test_a_line_that_comes_twice_in_a_batch_loses_no_cancellation(till: Till) -> None:
    one, other = executing(till), executing(till)

    results = in_batch(till, (one, "k1"), (one, "k1"), (other, "k2"))

    assert [each["status"] for each in results] == [202, 202, 202]
    assert asked(till) == {one, other}


def test_cancellations_of_two_who_share_a_key_at_the_same_moment_are_all_kept(till: Till) -> None:
    orders = [executing(till) for _ in range(6)]
    answers: list[list[dict[str, Any]]] = []

    def post(order_id: str, number: int) -> None:
        answers.append(in_batch(till, (orders[0], "shared"), (order_id, f"own {number}")))

    threads = [threading.Thread(target=post, args=(each, number)) for number, each in enumerate(orders[1:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {each["status"] for answer in answers for each in answer} == {202}
    assert asked(till) == set(orders)


def test_the_key_of_another_command_cancels_nothing(till: Till) -> None:
    order_id = executing(till)
    till.recharge("1.00", key="used")

    alone = cancel(till, order_id, "used")
    (within,) = in_batch(till, (order_id, "used"))

    assert (alone.status_code, alone.json["code"]) == (422, "idempotency-key-reused")
    assert within["problem"]["code"] == "idempotency-key-reused"
    assert asked(till) == set()


def test_the_key_of_a_cancellation_that_waits_cancels_no_other_order(till: Till) -> None:
    one, other = executing(till), executing(till)
    assert cancel(till, one, "waits").status_code == 202

    alone = cancel(till, other, "waits")
    other_reason = cancel(till, one, "waits", reason="late")
    first, second, third = in_batch(till, (other, "waits"), (one, "twice"), (other, "twice"))

    assert (alone.status_code, alone.json["code"]) == (422, "idempotency-key-reused")
    assert other_reason.status_code == 422
    assert [first["status"], second["status"], third["status"]] == [422, 202, 422]
    assert asked(till) == {one}


def test_what_was_answered_is_answered_again_and_the_executor_not_asked_again(till: Till) -> None:
    order_id = executing(till)
    assert in_batch(till, (order_id, "k1"))[0]["status"] == 202
    # As the agent does when the executor says no.
    with till.front.services.engine.execution_options(write=True).begin() as connection:
        (actor,) = connection.scalars(sa.select(cancellation_requests.c.actor))
        connection.execute(sa.delete(cancellation_requests))
    till.front.services.ledger.append(submission(CancelOrder(order_id=order_id), "k1", actor=actor))

    (within,) = in_batch(till, (order_id, "k1"))
    alone = cancel(till, order_id, "k1")

    assert (within["status"], within["replayed"], within["problem"]["code"]) == (409, True, "order-not-cancellable")
    assert (alone.status_code, alone.json["code"]) == (409, "order-not-cancellable")
    assert asked(till) == set()


@pytest.fixture
def _unanswered_commits(till: Till) -> Iterator[None]:
    """Every first commit of a connection takes effect, and its answer is lost."""
    engine = till.front.services.engine
    commit, lost = engine.dialect.do_commit, []

    def commit_and_lose(pooled: Any) -> None:
        commit(pooled)
        if not lost:
            lost.append(True)
            raise engine.dialect.dbapi.OperationalError(2013, "Lost connection to MySQL server during query")

    engine.dialect.do_commit = commit_and_lose
    yield
    engine.dialect.do_commit = commit
    assert lost


@pytest.mark.usefixtures("_unanswered_commits")
def test_a_commit_that_was_not_answered_is_looked_after(till: Till) -> None:
    order_id = executing(till)

    answer = cancel(till, order_id, "k1")

    assert answer.status_code == 202
    assert asked(till) == {order_id}


def test_a_cancellation_that_was_left_is_answered_so_when_the_database_goes_away_behind_it(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = executing(till)
    leave = orders.leave_to_the_agent

    def gone() -> NoReturn:
        raise sa.exc.OperationalError("SELECT 1", {}, OSError("gone"))

    def leave_and_lose(*given: Any) -> Any:
        left = leave(*given)
        monkeypatch.setattr(till.front.services.engine, "connect", gone)
        return left

    monkeypatch.setattr(orders, "leave_to_the_agent", leave_and_lose)

    answer = cancel(till, order_id, "k1")
    monkeypatch.undo()

    assert (answer.status_code, answer.json["status"]) == (202, "cancellation_requested")
    assert asked(till) == {order_id}


def test_the_key_of_a_cancellation_that_waits_is_no_other_commands(till: Till) -> None:
    order_id = executing(till)
    placed = till.place(10).json["order"]["id"]
    assert cancel(till, order_id, "waits", reason="late").status_code == 202
    before = till.balance()
    recharge = {"type": "recharge", "customer_id": till.customer_id, "amount": "1.00"}

    recharged, tried = till.recharge("1.00", key="waits"), cancel(till, placed, "waits", reason="late")
    together = [recharge | {"idempotency_key": key} for key in ("waits", "waits", "free")]
    apart = till.post("batches", {"atomic": False, "commands": together[:2]}).json["results"]
    atomic = till.post("batches", {"atomic": True, "commands": together}).json["results"]

    assert {each.json["code"] for each in (recharged, tried)} == {"idempotency-key-reused"}
    assert {each["problem"]["code"] for each in apart} == {"idempotency-key-reused"}
    assert [each["problem"]["code"] for each in atomic] == ["idempotency-key-reused"] * 2 + ["batch-refused"]
    assert till.balance() == before
    assert asked(till) == {order_id}
    assert answer_as_the_agent(till, order_id, "waits", confirmed_attempt=1).error is None
    assert cancel(till, order_id, "waits", reason="late").json["order"]["status"] == "cancelled"


def test_a_command_that_is_being_decided_when_a_cancellation_comes_under_its_key_keeps_it(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = executing(till)
    has_read, may_decide = threading.Event(), threading.Event()
    answers: dict[str, Any] = {}

    def decide_later(*given: Any) -> Plan:
        has_read.set()
        may_decide.wait(30)
        return decide_group(*given)

    def recharge() -> None:
        answers["recharge"] = till.recharge("1.00", key="shared")

    def ask() -> None:
        answers["cancellation"] = cancel(till, order_id, "shared")

    monkeypatch.setattr("ledger.append.committer.decide_group", decide_later)
    threads = [threading.Thread(target=each) for each in (recharge, ask)]
    threads[0].start()
    assert has_read.wait(30)
    threads[1].start()
    ends_at_s = time.monotonic() + 1.0
    while time.monotonic() < ends_at_s and asked(till) == set():
        time.sleep(0.01)
    time.sleep(0.5)
    may_decide.set()
    for thread in threads:
        thread.join()

    assert answers["recharge"].status_code == 201
    for answer in (answers["cancellation"], cancel(till, order_id, "shared")):
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency-key-reused")


@pytest.mark.parametrize("ledger_url", ["mariadb"], indirect=True)
def test_a_cancellation_whose_key_may_still_be_taken_is_in_doubt_until_it_is_repeated(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id, services = executing(till), till.front.services
    impatient = open_engine(url_of(services.engine), LedgerSettings(lock_timeout_s=1))
    monkeypatch.setattr(services, "engine", impatient)
    wanted = submission(CancelOrder(order_id=order_id), "k1")
    locking = sa.select(log_head.c.position).with_for_update()

    with impatient.connect() as holder:
        holder.execute(locking)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                leave_to_the_agent(services, [wanted])
    waiting = asked(till)
    left = leave_to_the_agent(services, [wanted])

    assert (waiting, left) == ({order_id}, {id(wanted): None})
    with impatient.connect() as next_writer:
        next_writer.execute(locking)
    impatient.dispose()


def test_a_request_that_the_agent_answers_at_this_moment_is_found(till: Till) -> None:
    order_id = executing(till)
    assert cancel(till, order_id, "k1", reason="late").status_code == 202
    engine, answered = till.front.services.engine, []

    def answer_between(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not answered and ("outcomes" in statement or "cancellation_requests" in statement):
            answered.append(True)
            answer_as_the_agent(till, order_id, "k1")

    sa.event.listen(engine, "after_cursor_execute", answer_between)
    found = till.get("commands/k1")
    sa.event.remove(engine, "after_cursor_execute", answer_between)

    assert answered
    assert found.status_code == 200
    assert found.json["status"] in ("refused", "cancellation_requested")
    assert till.get("commands/k1").json["problem"]["code"] == "order-not-cancellable"
