"""What a subscription gets: in log order, signed, the same bytes at each attempt, and only what it asked for."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from dataclasses import replace

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from hook_receiver import Reply
from ledger import log
from ledger.clock import now_us
from ledger.directory import webhooks
from ledger.feed import event_json
from post_office import FAST, PostOffice


def test_events_come_in_log_order_signed_as_the_feed_has_them(office: PostOffice) -> None:
    first, second = office.customer(), office.customer()
    webhook_id = office.subscribe()
    for amount in range(1, 31):
        office.desk.recharge(first if amount % 2 else second, amount)

    office.deliver_all(webhook_id)

    with office.desk.engine.connect() as connection:
        events = log.events_after(connection, 2, 100)
    taken = office.receiver.taken()
    assert [each.message["data"] for each in taken] == [event_json(each) for each in events]
    assert [each.message["type"] for each in taken] == ["recharge.posted"] * 30
    assert [each.message["timestamp"] for each in taken] == [event_json(each)["recorded_at"] for each in events]
    assert [each.id for each in taken] == [f"msg_{each.event_id.hex()}_{webhook_id[-16:]}" for each in events]
    shown = office.read(webhook_id)
    assert (shown["position"], shown["state"], shown["failures"]) == (32, "delivering", 0)
    assert shown["last_delivered_at"] is not None


def test_a_subscription_gets_the_types_and_the_customer_that_it_asked_for(office: PostOffice) -> None:
    mine, other = office.customer(), office.customer()
    by_type = office.subscribe("/type", types=["deduction.posted", "order.placed"])
    by_customer = office.subscribe("/customer", customer_id=mine)
    by_both = office.subscribe("/both", types=["recharge.posted"], customer_id=mine)
    for account_id in (mine, other, mine):
        office.desk.recharge(account_id, 100)
        office.desk.deduct(account_id, 1)

    office.deliver_until(
        lambda: [len(office.receiver.taken(path)) for path in ("/type", "/customer", "/both")] == [3, 4, 2]
    )

    assert set(office.receiver.types("/type")) == {"deduction.posted"}
    assert {each.message["data"]["account_id"] for each in office.receiver.taken("/customer")} == {mine}
    assert office.receiver.types("/both") == ["recharge.posted"] * 2
    assert {office.read(each)["state"] for each in (by_type, by_customer, by_both)} == {"delivering"}


def test_a_receiver_that_fails_at_random_gets_everything_in_order_and_repeats_alike(office: PostOffice) -> None:
    chance = random.Random(7)

    def behaviour(path: str, message_id: str) -> Reply:
        kind = chance.random()
        if kind < 0.1:
            return Reply(status=500)
        if kind < 0.15:
            return Reply(silent=True)
        return Reply(status=302, headers={"Location": "/elsewhere"}) if kind < 0.2 else Reply()

    office.receiver.behaviour = behaviour
    account_id = office.customer()
    webhook_id = office.subscribe()
    for _ in range(60):
        office.desk.recharge(account_id, 1)

    office.deliver_all(webhook_id, timeout_s=60)

    received = office.receiver.received
    assert office.receiver.positions() == list(range(2, 62))
    assert {each.path for each in received} == {"/hook"}, "a redirect was followed"
    by_id: dict[str, set[tuple[bytes, str]]] = {}
    for each in received:
        fixed = {k: v for k, v in each.headers.items() if k not in ("webhook-timestamp", "webhook-signature")}
        by_id.setdefault(each.id, set()).add((each.body, json.dumps(fixed, sort_keys=True)))
    assert all(len(found) == 1 for found in by_id.values()), "a repeat differs"
    assert len(received) > 60
    first_seen = list(dict.fromkeys(json.loads(each.body)["data"]["position"] for each in received))
    assert first_seen == list(range(2, 62)) and len(by_id) == 60


def test_what_failed_is_listed_with_its_next_try_and_the_success_after_it(sqlite_office: PostOffice) -> None:
    office, answers = sqlite_office, iter([Reply(status=503), Reply(status=404)])
    office.receiver.behaviour = lambda path, message_id: next(answers, Reply())
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)

    office.deliver_all(webhook_id)

    attempts = office.attempts(webhook_id)
    assert [(each["attempt"], each["code"], each["status"]) for each in attempts] == [
        (1, "http-503", 503), (2, "http-404", 404), (3, "delivered", 204),
    ]  # fmt: skip
    assert [each["next_try_at"] is None for each in attempts] == [False, False, True]
    assert len({each["message_id"] for each in attempts}) == 1


def test_a_slow_and_a_dead_receiver_delay_nobody_else(office: PostOffice) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.9 if path == "/slow" else 0.0)
    account_id = office.customer()
    slow, dead, quick = (
        office.subscribe("/slow"), office.subscribe("/dead", url="http://127.0.0.1:1/dead"), office.subscribe("/quick"),
    )  # fmt: skip
    for _ in range(40):
        office.desk.recharge(account_id, 1)
    began_s = time.monotonic()

    office.deliver_until(lambda: office.lag(quick) == 0)

    assert time.monotonic() - began_s < 5
    assert office.receiver.positions("/quick") == list(range(2, 42))
    assert len(office.receiver.taken("/slow")) < 10
    assert office.read(dead)["state"] == "failing" and office.read(dead)["last_code"] == "unreachable"
    assert office.lag(slow) > 0


def test_more_subscriptions_than_places_take_turns(office: PostOffice) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.02)
    account_id = office.customer()
    paths = {office.subscribe(f"/{number}"): f"/{number}" for number in range(3)}
    for _ in range(60):
        office.desk.recharge(account_id, 1)
    courier = office.courier(replace(FAST, calls_max=1))

    office.deliver_until(lambda: any(office.lag(each) == 0 for each in paths), courier)
    fewest = min(len(office.receiver.taken(path)) for path in paths.values())
    office.deliver_until(lambda: all(office.lag(each) == 0 for each in paths), courier)

    assert fewest >= 10
    assert all(office.receiver.positions(path) == list(range(2, 62)) for path in paths.values())


def test_a_subscription_that_always_has_news_leaves_the_only_place_to_others(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    busy_id, other_id = office.customer(), office.customer()

    def cause_news(path: str, message_id: str) -> Reply:
        if path == "/busy":
            office.desk.recharge(busy_id, 1)
        return Reply()

    office.receiver.behaviour = cause_news
    office.subscribe("/busy", customer_id=busy_id)
    office.subscribe("/other", customer_id=other_id)
    courier = office.courier(replace(FAST, calls_max=1))
    office.desk.recharge(busy_id, 1)
    office.deliver_until(lambda: len(office.receiver.taken("/busy")) >= 3, courier)

    office.desk.recharge(other_id, 1)
    office.deliver_until(lambda: office.receiver.taken("/other") != [], courier, timeout_s=10)

    assert office.receiver.types("/other") == ["recharge.posted"]


def test_a_wait_that_the_receiver_asks_for_is_honoured_up_to_a_limit(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    office.receiver.behaviour = lambda path, message_id: Reply(status=429, headers={"Retry-After": "3000"})
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    courier = office.courier(replace(FAST, retry_after_max_s=40.0))

    office.deliver_until(lambda: office.read(webhook_id)["failures"] == 1, courier)

    (attempt,) = office.attempts(webhook_id)
    wait_s = webhooks_wait_s(attempt)
    assert 39 < wait_s <= 41


def webhooks_wait_s(attempt: dict[str, str]) -> float:
    from datetime import datetime

    asked, next_try = (datetime.fromisoformat(attempt[name]) for name in ("attempted_at", "next_try_at"))
    return (next_try - asked).total_seconds()


def test_a_wait_of_more_years_than_there_are_is_a_failure_like_others(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    headers = {"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}
    office.receiver.behaviour = lambda path, message_id: Reply(status=503, headers=headers)
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)

    office.deliver_until(lambda: office.read(webhook_id)["failures"] >= 2)

    assert {each["code"] for each in office.attempts(webhook_id)} == {"http-503"}


def test_whatever_goes_wrong_in_a_call_is_a_failed_attempt_and_the_end_of_a_ping(
    sqlite_office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object, **__: object) -> socket.socket:
        raise RuntimeError("nobody thought of this")

    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    ping_id = webhooks.ask_for_ping(office.directory, webhook_id)
    monkeypatch.setattr(socket, "create_connection", connect)
    courier = office.courier(replace(FAST, disable_after_s=0.5))

    office.deliver_until(lambda: office.read(webhook_id)["state"] == "disabled", courier)

    attempts = office.attempts(webhook_id)
    assert {(each["code"], each["status"]) for each in attempts} == {("call-broken", None)}
    assert [each["message_id"] for each in attempts].count(ping_id) == 1
    assert office.read(webhook_id)["failures"] == len(attempts) - 1 >= 2


def test_a_receiver_that_is_gone_is_disabled_at_once_and_goes_on_when_enabled(office: PostOffice) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(status=410)
    account_id = office.customer()
    webhook_id = office.subscribe()
    for _ in range(3):
        office.desk.recharge(account_id, 1)

    office.deliver_until(lambda: office.read(webhook_id)["state"] == "disabled")
    disabled = office.read(webhook_id)
    office.receiver.behaviour = lambda path, message_id: Reply()
    courier = office.couriers[0]
    for _ in range(5):
        courier.advance(claiming=True)
        courier.wait(0.02)

    assert (disabled["disabled_reason"], disabled["failures"], len(office.receiver.received)) == ("gone", 1, 1)
    webhooks.enable(office.directory, webhook_id, head=office.head())
    office.deliver_all(webhook_id)
    assert office.receiver.positions() == [2, 3, 4]
    assert office.read(webhook_id)["state"] == "delivering"


def test_a_subscription_that_fails_for_too_long_is_disabled_and_keeps_its_place(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    office.receiver.behaviour = lambda path, message_id: Reply(status=500)
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    courier = office.courier(replace(FAST, disable_after_s=1.0))

    office.deliver_until(lambda: office.read(webhook_id)["state"] == "disabled", courier)

    shown = office.read(webhook_id)
    assert shown["disabled_reason"] == "failed-too-long" and shown["failures"] > 1
    assert (shown["position"], shown["lag_events"]) == (1, 1)
    assert office.attempts(webhook_id)[-1]["next_try_at"] is None


def test_a_paused_subscription_gets_nothing_until_it_goes_on(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe(active=False)
    office.desk.recharge(account_id, 1)
    courier = office.courier()
    for _ in range(5):
        courier.advance(claiming=True)
        courier.wait(0.02)

    assert office.receiver.received == [] and office.read(webhook_id)["state"] == "paused"
    webhooks.change(office.directory, webhook_id, {"active": True}, head=office.head())
    office.deliver_all(webhook_id)
    assert office.receiver.positions() == [2]


def test_a_replay_sends_the_same_again_from_its_position(office: PostOffice) -> None:
    account_id = office.customer()
    webhook_id = office.subscribe()
    for _ in range(10):
        office.desk.recharge(account_id, 1)
    office.deliver_all(webhook_id)
    before = [(each.id, each.body) for each in office.receiver.taken()]

    webhooks.replay(office.directory, webhook_id, 5, head=office.head())
    office.deliver_all(webhook_id)

    after = [(each.id, each.body) for each in office.receiver.taken()][len(before) :]
    assert after == before[3:]


def test_a_replay_while_messages_are_sent_is_not_overwritten(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.1)
    account_id = office.customer()
    webhook_id = office.subscribe()
    for _ in range(12):
        office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: len(office.receiver.taken()) >= 8)

    webhooks.replay(office.directory, webhook_id, 1, head=office.head())
    office.deliver_all(webhook_id)

    taken = [each.message["data"]["position"] for each in office.receiver.taken()]
    assert taken[-13:] == list(range(1, 14))


def test_what_the_old_address_answers_is_nothing_to_the_new_one(office: PostOffice) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(status=410, delay_s=0.5) if path == "/hook" else Reply()
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.receiver.secrets["/new"] = office.receiver.secrets["/hook"]
    office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: office.receiver.received != [])

    change = {"url": office.receiver.url("/new")}
    webhooks.change(office.directory, webhook_id, change, head=office.head())
    office.deliver_until(lambda: office.receiver.taken("/new") != [], timeout_s=5)
    office.deliver_all(webhook_id)

    shown = office.read(webhook_id)
    assert (shown["state"], shown["failures"], shown["failing_since"]) == ("delivering", 0, None)
    assert office.receiver.positions("/new") == [2]
    assert [each["code"] for each in office.attempts(webhook_id)] == ["delivered"]


def test_a_call_that_began_before_it_was_enabled_disables_nothing(office: PostOffice) -> None:
    answers = iter([Reply(status=500), Reply(status=410, delay_s=0.5)])
    office.receiver.behaviour = lambda path, message_id: next(answers, Reply())
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: len(office.receiver.received) == 2)

    enabled = webhooks.enable(office.directory, webhook_id, head=office.head())
    office.deliver_until(lambda: office.receiver.taken() != [], timeout_s=5)
    office.deliver_all(webhook_id)

    assert (enabled["state"], enabled["failures"], enabled["failing_since"]) == ("delivering", 0, None)
    assert office.receiver.positions() == [2]
    assert [each["attempt"] for each in office.attempts(webhook_id)] == [1, 1]


@pytest.mark.parametrize("mended", ["active", "url"])
def test_what_failed_before_a_pause_or_at_another_address_is_forgotten(office: PostOffice, mended: str) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(status=500)
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: office.read(webhook_id)["failures"] >= 1)
    if mended == "active":
        webhooks.change(office.directory, webhook_id, {"active": False}, head=office.head())
    fail_since(office, days=4)

    changes = {"active": True} if mended == "active" else {"url": office.receiver.url("/new")}
    changed = webhooks.change(office.directory, webhook_id, changes, head=office.head())
    answers = iter([Reply(status=500)])
    office.receiver.behaviour = lambda path, message_id: next(answers, Reply())
    office.deliver_until(lambda: office.receiver.taken(path_of(changed)) != [], timeout_s=5)
    office.deliver_all(webhook_id)

    assert (changed["state"], changed["failures"], changed["failing_since"]) == ("delivering", 0, None)
    assert office.read(webhook_id)["state"] == "delivering"
    assert [each["code"] for each in office.attempts(webhook_id)][-2:] == ["http-500", "delivered"]


def test_saying_again_what_is_so_forgets_no_failure_and_enables_nothing(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    office.receiver.behaviour = lambda path, message_id: Reply(status=500)
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    courier = office.courier(replace(FAST, disable_after_s=3_600.0))
    office.deliver_until(lambda: office.read(webhook_id)["failures"] >= 1, courier)
    fail_since(office, days=4)
    before = office.read(webhook_id)
    same = {"active": True, "url": before["url"]}

    failing = webhooks.change(office.directory, webhook_id, same, head=office.head())
    office.deliver_until(lambda: office.read(webhook_id)["state"] == "disabled", courier)
    disabled = webhooks.change(office.directory, webhook_id, {"url": office.receiver.url("/new")}, head=office.head())

    assert (failing["state"], failing["failing_since"]) == ("failing", before["failing_since"])
    assert (disabled["state"], disabled["disabled_reason"]) == ("disabled", "failed-too-long")


def fail_since(office: PostOffice, *, days: int) -> None:
    """Let what fails have failed for so long."""
    since_us = now_us() - days * 86_400_000_000
    with office.directory.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql(f"UPDATE webhook_progress SET failing_since_us={since_us}")


def path_of(webhook: dict[str, str]) -> str:
    return "/" + webhook["url"].rpartition("/")[2]


def test_a_ping_is_sent_signed_in_whatever_state_and_is_no_event(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe(types=["order.placed"], active=False)
    office.desk.recharge(account_id, 1)

    message_id = webhooks.ask_for_ping(office.directory, webhook_id)
    office.deliver_until(lambda: office.receiver.received != [])
    office.deliver_until(lambda: office.attempts(webhook_id) != [])

    (ping,) = office.receiver.received
    assert (ping.id, ping.message["type"], ping.message["data"]) == (message_id, "ping", {"webhook_id": webhook_id})
    assert office.attempts(webhook_id)[0]["message_id"] == message_id
    assert office.read(webhook_id)["position"] == 1


def test_both_secrets_sign_after_a_rotation_and_the_old_one_ends(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe()
    old = office.receiver.secrets["/hook"]
    _, new = webhooks.rotate_secret(office.directory, webhook_id, overlap_s=1.5, head=office.head())
    office.desk.recharge(account_id, 1)
    office.deliver_all(webhook_id)
    time.sleep(1.6)
    office.desk.recharge(account_id, 1)
    office.deliver_all(webhook_id)

    during, after = office.receiver.received
    for secret in (old, new):
        assert Webhook(secret).verify(during.body, during.headers)["data"]["position"] == 2
    assert Webhook(new).verify(after.body, after.headers)["data"]["position"] == 3
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(after.body, after.headers)
    assert (len(during.headers["webhook-signature"].split()), len(after.headers["webhook-signature"].split())) == (2, 1)


def test_many_subscriptions_at_one_place_read_the_log_once(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    ids = [office.subscribe(f"/{number}") for number in range(20)]
    for _ in range(50):
        office.desk.recharge(account_id, 1)
    courier = office.courier()

    office.deliver_until(lambda: all(office.lag(each) == 0 for each in ids), courier)

    assert all(office.receiver.positions(f"/{number}") == list(range(2, 52)) for number in range(20))
    assert courier.blocks.reads == 1


def test_a_subscription_that_wants_nothing_of_it_is_brought_along_without_a_write_for_each_event(
    sqlite_office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.webhooks import courier as module

    office = sqlite_office
    monkeypatch.setattr(module, "SKIP_S", 0.3)
    account_id = office.customer()
    webhook_id = office.subscribe(types=["order.parked"])
    courier = office.courier()
    for _ in range(3):
        office.desk.recharge(account_id, 1)
        courier.advance(claiming=True)
    assert office.lag(webhook_id) == 3

    office.deliver_until(lambda: office.lag(webhook_id) == 0, courier)

    assert office.receiver.received == [] and office.attempts(webhook_id) == []


def test_a_change_of_what_is_asked_for_takes_effect_while_delivering(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe(types=["deduction.posted"])
    courier = office.courier()
    office.desk.recharge(account_id, 5)
    for _ in range(3):
        courier.advance(claiming=True)
        courier.wait(0.02)
    webhooks.change(office.directory, webhook_id, {"event_types": ["recharge.posted"]}, head=office.head())

    office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: len(office.receiver.taken()) == 2, courier)

    assert set(office.receiver.types()) == {"recharge.posted"}


def test_a_deleted_subscription_gets_no_more_and_leaves_nothing(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.05)
    account_id = office.customer()
    webhook_id = office.subscribe()
    for _ in range(50):
        office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: len(office.receiver.taken()) >= 3)

    webhooks.delete(office.directory, webhook_id)
    courier = office.couriers[0]
    threading.Event().wait(0.7)
    for _ in range(10):
        courier.advance(claiming=True)
        courier.wait(0.02)

    assert len(office.receiver.taken()) < 30
    for table in ("webhooks", "webhook_progress", "webhook_deliveries"):
        assert office.desk.rows(f"SELECT * FROM {table}") == []
    assert courier.in_flight == 0
