"""Claims of many orders at once: what was seen decides, row by row, whatever number of rows one statement writes."""

from __future__ import annotations

import time

from agent_office import Office
from workers.claims import Claims, Release


def _now_us() -> int:
    return time.time_ns() // 1_000


def _claims(office: Office, runner: str) -> Claims:
    return Claims(office.desk.engine, runner)


def test_of_many_new_orders_each_is_taken_by_one_runner(office: Office) -> None:
    order_ids = {office.place(1) for _ in range(6)}
    one, other = _claims(office, "run_one"), _claims(office, "run_other")
    seen_by_both = one.due(_now_us(), 10)
    lease_until_us = _now_us() + 1_000_000

    first = one.take(seen_by_both[:4], lease_until_us=lease_until_us)
    second = other.take(seen_by_both, lease_until_us=lease_until_us)

    assert [each.order.order_id for each in first] == [each.order.order_id for each in seen_by_both[:4]]
    assert [each.order.order_id for each in second] == [each.order.order_id for each in seen_by_both[4:]]
    assert {office.claim(each).runner for each in order_ids} == {"run_one", "run_other"}


def test_claims_that_changed_since_they_were_seen_are_not_taken(office: Office) -> None:
    for _ in range(3):
        office.place(1)
    one, other = _claims(office, "run_one"), _claims(office, "run_other")
    ours = one.take(one.due(_now_us(), 10), lease_until_us=1)
    one.settle([], [_release(each.order.order_id, due_at_us=0) for each in ours])
    seen = other.due(_now_us(), 10)
    assert len(seen) == 3

    taken = one.take(one.due(_now_us(), 10)[:2], lease_until_us=_now_us() + 1_000_000)
    late = other.take(seen, lease_until_us=_now_us() + 1_000_000)

    assert {each.order.order_id for each in taken} | {each.order.order_id for each in late} == {
        each.order.order_id for each in seen
    }
    assert len(late) == 1


def test_only_a_runners_own_claims_are_given_back_or_removed(office: Office) -> None:
    order_ids = sorted(office.place(1) for _ in range(4))
    one, other = _claims(office, "run_one"), _claims(office, "run_other")
    one.take(one.due(_now_us(), 10), lease_until_us=_now_us() + 1_000_000)

    other.settle(order_ids[:2], [_release(each, due_at_us=7) for each in order_ids[2:]])
    assert {office.claim(each).runner for each in order_ids} == {"run_one"}

    one.settle(order_ids[:2], [_release(each, due_at_us=7 + index) for index, each in enumerate(order_ids[2:])])

    assert [office.claim(each) for each in order_ids[:2]] == [None, None]
    given_back = [office.claim(each) for each in order_ids[2:]]
    assert [(each.runner, each.lease_until_us, each.due_at_us, each.calls, each.last_code) for each in given_back] == [
        ("", 0, 7, 3, "busy"),
        ("", 0, 8, 3, "busy"),
    ]


def test_settling_nothing_does_nothing(office: Office) -> None:
    _claims(office, "run_one").settle([], [])

    assert office.desk.rows("SELECT * FROM claims") == []


def _release(order_id: str, *, due_at_us: int) -> Release:
    return Release(order_id=order_id, due_at_us=due_at_us, calls=3, last_code="busy")
