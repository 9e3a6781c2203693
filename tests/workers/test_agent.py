"""The agent against a real ledger and a real HTTP executor: every line of the protocol, and I15 to I21."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace

import pytest
import sqlalchemy as sa

from agent_office import FAST, Office
from executor_stub import Call, ExecutorStub, Reply
from ledger import log, schema
from ledger.commands import CompleteOrder
from ledger.errors import OrderNotCancellable, StaleAttempt
from submissions import prove
from workers.claims import Claims
from workers.runner import REQUESTS_MAX


def test_a_delivered_order_is_captured(office: Office) -> None:
    order_id = office.place(100)

    (order,) = office.work(order_id)

    assert (order.status, order.delivered, order.captured_minor, order.released_minor) == (
        "completed",
        100,
        order.amount_minor,
        0,
    )
    assert office.events(order_id) == ["order.placed", "order.started", "order.completed"]
    assert office.claim(order_id) is None
    prove(office.desk.engine)


def test_the_call_carries_the_order_and_its_id_as_key(office: Office) -> None:
    order_id = office.place(100, details={"params": {"to": ["+8613800000000"], "深": 1}})

    office.work(order_id)

    (call,) = office.stub.calls
    assert call.headers["idempotency-key"] == order_id
    assert json.loads(call.body) == {
        "order_id": order_id,
        "product": "sms",
        "quantity": 100,
        "params": {"to": ["+8613800000000"], "深": 1},
        "amount": "10.00",
        "currency": "CNY",
        "reference": None,
    }


def test_part_delivered_captures_that_part_and_releases_the_rest(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: stub.deliver(call, 40)
    order_id = office.place(100)

    (order,) = office.work(order_id)

    assert (order.status, order.captured_minor, order.released_minor) == ("completed", 400, 600)


def test_a_failed_order_is_released_and_keeps_the_reason_beside_the_log(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: Reply(document={"status": "failed", "reason": "no such number"})
    order_id = office.place(100)

    (order,) = office.work(order_id)

    assert (order.status, order.code, order.released_minor) == ("failed", "executor-failed", 1_000)
    with office.desk.engine.connect() as connection:
        assert log.details_at(connection, [order.position]) == {order.position: {"reason": "no such number"}}


@pytest.mark.parametrize("status", [409, 422])
def test_a_refused_order_fails(office: Office, status: int) -> None:
    office.stub.behaviour = lambda stub, call: Reply(status=status, document={"reason": "not sold here"})
    order_id = office.place()

    (order,) = office.work(order_id)

    assert (order.status, order.code) == ("failed", "executor-refused")
    assert len(office.stub.calls) == 1


def test_an_accepted_order_is_asked_about_until_it_ends(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: stub.accept(call) if call.method == "POST" else None
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: len(office.stub.called("GET")) >= 3, runner)

    office.stub.finish(order_id)
    (order,) = office.work(order_id, runner=runner)

    assert order.status == "completed"
    assert order.attempt == 1
    assert len(office.stub.called("POST")) == 1
    assert office.events(order_id) == ["order.placed", "order.started", "order.completed"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 404, 400, 301])
def test_an_answer_that_says_nothing_is_followed_by_an_enquiry_before_the_repeat(office: Office, status: int) -> None:
    def fail_first(stub: ExecutorStub, call: Call) -> Reply | None:
        return Reply(status=status, document={}) if len(stub.calls) == 1 else None

    office.stub.behaviour = fail_first
    order_id = office.place()

    (order,) = office.work(order_id)

    assert order.status == "completed"
    assert [call.method for call in office.stub.calls] == ["POST", "GET", "POST"]
    first, _, second = office.stub.calls
    assert (first.body, first.headers["idempotency-key"]) == (second.body, second.headers["idempotency-key"])


def test_silence_after_the_effect_is_settled_by_asking(office: Office) -> None:
    def act_then_hang_up(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.method == "POST":
            stub.deliver(call)
            return Reply(silent=True)
        return None

    office.stub.behaviour = act_then_hang_up
    order_id = office.place()

    (order,) = office.work(order_id)

    assert (order.status, order.delivered) == ("completed", 100)
    assert [call.method for call in office.stub.calls] == ["POST", "GET"]
    assert office.stub.effects[order_id] == 1


def test_an_answer_after_the_deadline_is_settled_by_asking(office: Office) -> None:
    def be_late(stub: ExecutorStub, call: Call) -> Reply | None:
        return replace(stub.deliver(call), delay_s=2.0) if call.method == "POST" else None

    office.stub.behaviour = be_late
    order_id = office.place()

    (order,) = office.work(order_id)

    assert order.status == "completed"
    assert office.stub.effects[order_id] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"done",
        b"[]",
        b'{"status": "completed"}',
        b'{"status": "completed", "delivered": -1}',
        b'{"status": "completed", "delivered": true}',
        b'{"status": "completed", "delivered": 12.9}',
        b'{"status": "completed", "delivered": "100"}',
        b'{"status": "completed", "delivered": NaN}',
        b'{"status": "completed", "delivered": 100, "delivered": 1}',
        b'{"status": "completed", "delivered": 100, "order_id": "ord_other"}',
        b'{"status": "delighted", "delivered": 100}',
        b'{"status": "completed", "delivered": 1' + b"0" * 5_000 + b"}",
        b"[" * 50_000,
        b'{"status": "\xff"}',
        b" " * 70_000 + b'{"status": "completed", "delivered": 100}',
    ],
)
def test_a_nonsensical_answer_says_nothing(office: Office, body: bytes) -> None:
    def mumble_first(stub: ExecutorStub, call: Call) -> Reply | None:
        return Reply(body=body) if len(stub.calls) == 1 else None

    office.stub.behaviour = mumble_first
    order_id = office.place()

    (order,) = office.work(order_id)

    assert (order.status, order.delivered) == ("completed", 100)
    assert [call.method for call in office.stub.calls] == ["POST", "GET", "POST"]


def test_delivering_more_than_ordered_is_for_a_person(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: Reply(document={"status": "completed", "delivered": 101})
    order_id = office.place(100)

    (order,) = office.work(order_id)

    assert (order.status, order.code) == ("needs_review", "executor-delivered-more-than-ordered")
    assert office.claim(order_id) is None


def test_not_knowing_an_order_it_accepted_is_for_a_person(office: Office) -> None:
    def forget(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.method == "POST":
            return Reply(status=202, document={"status": "executing"})
        return Reply(status=500, document={}) if len(stub.called("GET")) == 1 else None

    office.stub.behaviour = forget
    order_id = office.place()

    (order,) = office.work(order_id)

    assert (order.status, order.code) == ("needs_review", "executor-forgot-order")
    assert len(office.stub.called("POST")) == 1


def test_an_executor_that_never_says_anything_is_for_a_person(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: Reply(status=500, document={})
    order_id = office.place()

    (order,) = office.work(order_id, runner=office.runner(replace(FAST, executor_unknowns_max=4)))

    assert (order.status, order.code) == ("needs_review", "executor-silent")
    assert len(office.stub.calls) == 4


def test_retry_after_is_honoured_and_kept_over_a_restart(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: (
        Reply(status=503, document={}, headers={"Retry-After": "2"}) if len(stub.calls) == 1 else None
    )
    order_id = office.place()
    office.work_until(lambda: len(office.stub.calls) >= 1, office.runner())
    office.work_until(lambda: office.claim(order_id).runner == "", *office.runners)

    (order,) = office.work(order_id, runner=office.runner())

    assert order.status == "completed"
    assert order.attempt == 1
    assert office.stub.calls[1].at_us - office.stub.calls[0].at_us >= 1_900_000


def test_a_product_that_is_gone_parks_its_orders(office: Office) -> None:
    office.executor_name = None
    order_id = office.place()

    (order,) = office.work(order_id)

    assert (order.status, order.code) == ("needs_review", "executor-unavailable")
    assert office.events(order_id) == ["order.placed", "order.parked"]


ALTERATIONS = [
    sa.update(schema.details).values(details=b'{"params":{"to":["+8613900000000"]}}'),
    sa.delete(schema.details),
]


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=["altered", "gone"])
def test_an_order_whose_params_are_not_those_it_was_placed_with_is_parked_and_given_to_nobody(
    office: Office, alteration: sa.Executable
) -> None:
    order_id = office.place(details={"params": {"to": ["+8613800000000"]}})
    with office.desk.engine.execution_options(write=True).begin() as connection:
        connection.execute(alteration)

    (order,) = office.work(order_id)

    assert (order.status, order.code) == ("needs_review", "params-altered")
    assert office.stub.calls == []
    assert office.events(order_id) == ["order.placed", "order.parked"]


@pytest.mark.parametrize(("name", "settings"), [("carrier-pigeon", {}), ("http", {}), ("http", {"url": "ftp://x/"})])
def test_an_executor_that_cannot_be_opened_parks_the_order(office: Office, name: str, settings: dict[str, str]) -> None:
    office.executor_name, office.product_settings = name, settings
    order_id = office.place()

    (order,) = office.work(order_id)

    assert (order.status, order.code) == ("needs_review", "executor-unavailable")


def test_an_order_given_to_one_executor_is_never_given_to_another(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: stub.accept(call) if call.method == "POST" else None
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: len(office.stub.called("GET")) >= 1, runner)

    office.executor_name, office.product_settings = "simulated", {"delay_s": 0}
    (order,) = office.work(order_id, runner=runner)

    assert (order.status, order.code) == ("needs_review", "executor-changed")


@pytest.mark.parametrize("is_lost", [False, True])
def test_an_order_is_never_started_at_an_address_that_it_was_not_first_given_to(office: Office, is_lost: bool) -> None:
    with closing(ExecutorStub()) as other:

        def move(stub: ExecutorStub, call: Call) -> Reply:
            office.product_settings = {"url": other.url}
            return replace(stub.deliver(call), silent=True)

        office.stub.behaviour = move
        order_id, runner = office.place(), office.runner()
        if is_lost:
            runner.turn(claiming=True)
            office.work_until(lambda: office.stub.calls != [])
            office.expire_leases()
            runner = office.runner()
        (order,) = office.work(order_id, runner=runner)

        assert (order.status, order.code) == ("needs_review", "executor-changed")
        assert office.stub.effects[order_id] == 1
        assert (other.called("POST"), other.effects[order_id]) == ([], 0)


def test_an_order_goes_on_at_another_address_that_knows_it(office: Office) -> None:
    with closing(ExecutorStub()) as other:

        def move(stub: ExecutorStub, call: Call) -> Reply:
            other.accept(call)
            office.product_settings = {"url": f"{other.url}/", "timeout_s": 0.9}
            return Reply(silent=True)

        office.stub.behaviour = move
        order_id, runner = office.place(), office.runner()
        office.work_until(lambda: other.called("GET") != [], runner)
        key = office.request_cancellation(order_id)
        (order,) = office.work(order_id, runner=runner)

        assert order.status == "cancelled"
        assert office.outcome(key).error is None
        assert other.called("POST", "/orders") == [] and len(office.stub.calls) == 1


def test_other_settings_and_another_spelling_are_no_other_address(office: Office) -> None:
    def change(stub: ExecutorStub, call: Call) -> Reply | None:
        office.product_settings = {"url": f"{stub.url}/", "timeout_s": 0.9}
        return Reply(silent=True) if len(stub.calls) == 1 else None

    office.stub.behaviour = change
    order_id = office.place()
    (order,) = office.work(order_id)

    assert order.status == "completed"
    assert [call.method for call in office.stub.calls] == ["POST", "GET", "POST"]


def test_many_orders_need_few_commits(office: Office) -> None:
    order_ids = [office.place(1) for _ in range(40)]

    orders = office.work(*order_ids)

    assert {order.status for order in orders} == {"completed"}
    assert office.stub.book == dict.fromkeys(order_ids, 1)
    assert len(office.stub.calls) == 40


# -- two runners, stale runners: I18, I19, I21 ------------------------------------------------------------------------


def test_of_two_runners_one_takes_an_order(office: Office) -> None:
    order_ids = [office.place(1) for _ in range(20)]
    one, other = office.runner(), office.runner()

    office.work_until(lambda: all(office.order(each).status == "completed" for each in order_ids), one, other)

    # On a slow machine the executor may be asked as well; it is told once.
    assert sum(call.method == "POST" for call in office.stub.calls) == 20
    assert {office.order(each).attempt for each in order_ids} == {1}


def test_a_runner_lost_between_intent_and_call_is_replaced_and_the_executor_asked_first(office: Office) -> None:
    order_id, lost = office.place(), office.runner()
    lost._begin = lambda started, claimed_at_s: None  # type: ignore[method-assign]  # It is killed right after its commit.
    lost.turn(claiming=True)
    assert office.events(order_id) == ["order.placed", "order.started"]
    assert Claims(office.desk.engine, "run_other").due(time.time_ns() // 1_000, 10) == []

    office.expire_leases()
    (order,) = office.work(order_id)

    assert (order.status, order.attempt) == ("completed", 2)
    assert office.events(order_id) == ["order.placed", "order.started", "order.started", "order.completed"]
    assert [call.method for call in office.stub.calls] == ["GET", "POST"]


def test_a_runner_lost_after_the_call_is_replaced_without_a_second_effect(office: Office) -> None:
    order_id, lost = office.place(), office.runner()
    lost.turn(claiming=True)
    office.work_until(lambda: len(office.stub.calls) == 1)  # Its answer is never recorded.

    office.expire_leases()
    (order,) = office.work(order_id)

    assert (order.status, order.attempt, order.delivered) == ("completed", 2, 100)
    assert [call.method for call in office.stub.calls] == ["POST", "GET"]
    assert office.stub.effects[order_id] == 1


def test_a_stale_runner_changes_nothing(office: Office) -> None:
    order_id, stale = office.place(), office.runner()
    office.stub.behaviour = lambda stub, call: (
        replace(stub.deliver(call, 40), delay_s=0.8) if call.method == "POST" else stub.accept(stub.called("POST")[0])
    )
    stale.turn(claiming=True)
    office.expire_leases()
    office.runner().turn(claiming=True)
    assert office.order(order_id).attempt == 2

    time.sleep(1.0)
    stale.turn(claiming=False)

    order = office.order(order_id)
    assert (order.status, order.attempt) == ("executing", 2)
    refused = office.desk.submit(CompleteOrder(order_id=order_id, attempt=1, delivered=40), actor="agent")
    assert isinstance(refused.error, StaleAttempt)


def test_a_runner_that_was_paused_past_its_lease_does_not_call(office: Office) -> None:
    order_id, paused = office.place(), office.runner(replace(FAST, lease_s=6.0))
    begin = paused._begin
    paused._begin = lambda started, claimed_at_s: begin(started, claimed_at_s - 5.0)  # type: ignore[method-assign]

    paused.turn(claiming=True)
    time.sleep(0.2)

    assert office.stub.calls == []
    assert office.order(order_id).status == "executing"


# -- cancellation: I20 ------------------------------------------------------------------------------------------------


def test_a_confirmed_cancellation_is_recorded_for_the_one_who_asked(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: stub.accept(call) if call.path == "/orders" else None
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: order_id in office.stub.executing, runner)

    key = office.request_cancellation(order_id)
    (order,) = office.work(order_id, runner=runner)

    assert (order.status, order.released_minor) == ("cancelled", order.amount_minor)
    outcome = office.outcome(key)
    assert outcome.error is None
    assert outcome.event.actor == "key:test"
    assert json.loads(outcome.event.data)["confirmed_by_executor"] is True
    assert outcome.details == {"reason": "changed my mind"}
    assert office.desk.rows("SELECT * FROM cancellation_requests") == []
    calls = len(office.stub.calls)
    runner.work(0.5)
    assert len(office.stub.calls) == calls


def test_a_cancellation_after_part_was_delivered_captures_that_part(office: Office) -> None:
    def cancel_partly(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.path == "/orders":
            return stub.accept(call)
        return Reply(document={"status": "cancelled", "delivered": 30}) if call.path.endswith("/cancellation") else None

    office.stub.behaviour = cancel_partly
    order_id, runner = office.place(100), office.runner()
    office.work_until(lambda: order_id in office.stub.executing, runner)

    office.request_cancellation(order_id)
    (order,) = office.work(order_id, runner=runner)

    assert (order.status, order.delivered, order.captured_minor, order.released_minor) == ("cancelled", 30, 300, 700)


def test_a_cancellation_that_the_executor_refuses_is_refused(office: Office) -> None:
    def refuse(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.path == "/orders":
            return stub.accept(call)
        return Reply(status=409, document={}) if call.path.endswith("/cancellation") else None

    office.stub.behaviour = refuse
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: order_id in office.stub.executing, runner)

    key = office.request_cancellation(order_id, reason=None)
    office.work_until(lambda: office.outcome(key) is not None, runner)
    office.stub.finish(order_id)
    (order,) = office.work(order_id, runner=runner)

    assert isinstance(office.outcome(key).error, OrderNotCancellable)
    assert order.status == "completed"
    assert len(office.stub.called("POST", "/cancellation")) == 1


def test_a_request_whose_outcome_is_stored_is_forgotten_and_nobody_asked_again(office: Office) -> None:
    is_refusing = True

    def refuse_once(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.path == "/orders":
            return stub.accept(call)
        return Reply(status=409, document={}) if is_refusing and call.path.endswith("/cancellation") else None

    office.stub.behaviour = refuse_once
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: order_id in office.stub.executing, runner)
    key = office.request_cancellation(order_id)
    office.work_until(lambda: office.desk.rows("SELECT * FROM cancellation_requests") == [], runner)
    is_refusing = False

    office.request_cancellation(order_id, key)  # As when the row could not be deleted after its outcome was stored.
    office.work_until(lambda: office.desk.rows("SELECT * FROM cancellation_requests") == [], runner)
    runner.work(0.3)
    office.stub.finish(order_id)
    (order,) = office.work(order_id, runner=runner)

    assert isinstance(office.outcome(key).error, OrderNotCancellable)
    assert order.status == "completed"
    assert len(office.stub.called("POST", "/cancellation")) == 1


def test_requests_that_their_executor_never_answers_hold_up_no_others(office: Office) -> None:
    ended = office.place()
    office.work(ended)
    stuck, other = office.place(), office.place()
    office.stub.behaviour = lambda stub, call: (
        stub.accept(call)
        if call.path == "/orders"
        else Reply(status=503, document={})
        if call.path.endswith(f"{stuck}/cancellation")
        else None
    )
    runner = office.runner(replace(FAST, executor_poll_s=60.0, executor_poll_max_s=60.0))
    office.work_until(lambda: {stuck, other} <= office.stub.executing.keys(), runner)
    for _ in range(REQUESTS_MAX):
        office.request_cancellation(stuck)
    office.work_until(lambda: office.stub.called("POST", f"{stuck}/cancellation") != [], runner)

    of_ended, of_other = office.request_cancellation(ended), office.request_cancellation(other)
    office.work_until(lambda: None not in (office.outcome(of_ended), office.outcome(of_other)), runner, timeout_s=5)

    assert isinstance(office.outcome(of_ended).error, OrderNotCancellable)
    assert office.order(other).status == "cancelled"
    assert office.order(stuck).status == "executing"


def test_a_cancellation_of_an_order_that_ended_meanwhile_is_refused_without_a_call(office: Office) -> None:
    order_id = office.place()
    office.work(order_id)

    key = office.request_cancellation(order_id)
    office.work_until(lambda: office.outcome(key) is not None, office.runner())

    assert isinstance(office.outcome(key).error, OrderNotCancellable)
    assert office.stub.called("POST", "/cancellation") == []


def test_an_order_cancelled_before_its_start_is_never_called(office: Office) -> None:
    order_id = office.place()
    key = office.request_cancellation(order_id)

    (order,) = office.work(order_id)

    assert order.status == "cancelled"
    assert office.outcome(key).error is None
    assert office.stub.calls == []


def test_an_executor_that_does_not_know_the_order_has_not_confirmed_its_cancellation(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: (
        Reply(status=503, document={}, headers={"Retry-After": "1"}) if len(stub.calls) == 1 else None
    )
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: len(office.stub.calls) >= 1, runner)

    key = office.request_cancellation(order_id)
    (order,) = office.work(order_id, runner=runner)
    office.work_until(lambda: office.outcome(key) is not None, runner)

    assert office.stub.book == {order_id: 100}
    assert order.status == "completed"
    assert isinstance(office.outcome(key).error, OrderNotCancellable)


def test_a_repeated_cancellation_gets_the_same_answer(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: stub.accept(call) if call.path == "/orders" else None
    order_id, runner = office.place(), office.runner()
    office.work_until(lambda: order_id in office.stub.executing, runner)

    key = office.request_cancellation(order_id)
    other = office.request_cancellation(order_id)
    office.work_until(lambda: office.outcome(key) is not None and office.outcome(other) is not None, runner)

    assert office.outcome(key).error is None
    assert isinstance(office.outcome(other).error, OrderNotCancellable)
    prove(office.desk.engine)


# -- calls that use up a step's time ----------------------------------------------------------------------------------

NARROW = replace(FAST, lease_s=2.0, executor_poll_s=60.0, executor_poll_max_s=60.0)
"""A call has half of the lease, all calls of a step 1.6 s."""


@pytest.mark.parametrize("enquiry_s", [0.0, 0.8])
def test_a_cancellation_that_is_never_answered_keeps_nobody_from_asking(office: Office, enquiry_s: float) -> None:
    def never_answer(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.path == "/orders":
            return stub.accept(call)
        if call.path.endswith("/cancellation"):
            return Reply(silent=True, delay_s=60.0)
        if order_id in stub.executing:
            stub.finish(order_id)
        return replace(stub.say(order_id), delay_s=enquiry_s)

    office.stub.behaviour = never_answer
    order_id, runner = office.place(), office.runner(NARROW)
    office.work_until(lambda: order_id in office.stub.executing, runner)

    key = office.request_cancellation(order_id)
    (order,) = office.work(order_id, runner=runner)
    office.work_until(lambda: office.outcome(key) is not None, runner)

    assert (order.status, order.delivered) == ("completed", 100)
    assert office.stub.called("POST", "/cancellation") != [] and office.stub.called("GET") != []
    assert isinstance(office.outcome(key).error, OrderNotCancellable)


def test_a_cancellation_has_the_whole_time_of_a_call(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: (
        stub.accept(call)
        if call.path == "/orders"
        else Reply(status=409, document={}, delay_s=0.8)
        if call.path.endswith("/cancellation")
        else None
    )
    order_id, runner = office.place(), office.runner(replace(NARROW, executor_poll_s=0.05, executor_poll_max_s=0.1))
    office.work_until(lambda: order_id in office.stub.executing, runner)

    key = office.request_cancellation(order_id)
    office.work_until(lambda: office.outcome(key) is not None, runner)

    assert isinstance(office.outcome(key).error, OrderNotCancellable)


def test_a_cancellation_that_there_was_no_time_for_is_asked_for_at_once(office: Office) -> None:
    def accept_in_silence(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.path == "/orders":
            stub.accept(call)
            return Reply(status=503, document={})
        if call.method == "GET":
            return replace(stub.say(order_id), headers={"Retry-After": "300"})
        return None

    office.stub.behaviour = accept_in_silence
    order_id, runner = office.place(), office.runner(NARROW)
    runner.turn(claiming=True)
    office.work_until(lambda: order_id in office.stub.executing)

    office.request_cancellation(order_id)
    begin = runner._begin
    # The enquiry's whole time is more than is left, until it was made.
    runner._begin = lambda started, claimed_at_s: begin(  # type: ignore[method-assign]
        started, claimed_at_s - (0.0 if office.stub.called("GET") else 0.7)
    )
    (order,) = office.work(order_id, runner=runner)

    assert order.status == "cancelled"
    assert [call.path for call in office.stub.calls] == [
        "/orders",
        f"/orders/{order_id}",
        f"/orders/{order_id}/cancellation",
    ]


def test_an_executor_that_is_slow_to_say_that_it_knows_nothing_is_told_again(office: Office) -> None:
    def forget_the_first(stub: ExecutorStub, call: Call) -> Reply | None:
        if call.method == "GET":
            return Reply(status=404, document={}, delay_s=0.8)
        return Reply(status=503, document={}) if len(stub.calls) == 1 else None

    office.stub.behaviour = forget_the_first
    order_id = office.place()
    (order,) = office.work(order_id, runner=office.runner(NARROW))

    assert (order.status, order.delivered) == ("completed", 100)
    assert office.stub.effects[order_id] == 1


def test_calls_that_leave_no_time_to_execute_count_as_silence(office: Office) -> None:
    def use_up_the_time(stub: ExecutorStub, call: Call) -> Reply:
        if call.path.endswith("/cancellation"):
            return Reply(silent=True, delay_s=60.0)
        return Reply(status=404 if call.method == "GET" else 503, document={}, delay_s=0.95)

    office.stub.behaviour = use_up_the_time
    order_id, runner = office.place(), office.runner(replace(NARROW, executor_unknowns_max=3))
    office.work_until(lambda: office.stub.calls != [], runner)

    office.request_cancellation(order_id)
    (order,) = office.work(order_id, runner=runner)

    assert (order.status, order.code) == ("needs_review", "executor-silent")
    assert len(office.stub.called("POST", "/cancellation")) == 2
