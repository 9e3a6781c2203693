"""`balance.low`: said once when an event takes available money below the customer's threshold, and again after it rose."""

from __future__ import annotations

from typing import Any

from ledger.directory import customers, webhooks
from ledger.directory.customers import Asker
from post_office import PostOffice

LOW = "balance.low"
ASKER = Asker(actor="key:test", correlation_id="test")


def said(office: PostOffice, path: str = "/hook") -> list[dict[str, Any]]:
    return [each.message["data"] for each in office.receiver.taken(path) if each.message["type"] == LOW]


def test_a_deduction_below_the_threshold_is_said_right_after_its_own_message(office: PostOffice) -> None:
    account_id = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe()
    office.desk.deduct(account_id, 500)
    crossing = office.desk.deduct(account_id, 1)
    office.desk.deduct(account_id, 1)

    office.deliver_all(webhook_id)

    assert office.receiver.types() == ["deduction.posted", "deduction.posted", LOW, "deduction.posted"]
    assert crossing.event is not None
    (low,) = said(office)
    assert low == {
        "position": crossing.position,
        "event_type": "deduction.posted",
        "account_id": account_id,
        "order_id": None,
        "recorded_at": office.receiver.taken()[2].message["timestamp"],
        "currency": "CNY",
        "available_minor": 499,
        "available_before_minor": 500,
        "threshold_minor": 500,
    }
    assert office.receiver.taken()[2].id == f"{office.receiver.taken()[1].id}_low_500"


def test_it_is_not_repeated_while_low_and_said_again_after_rising(office: PostOffice) -> None:
    account_id = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe(types=[LOW])
    for amount_minor in (600, 100, 100):
        office.desk.deduct(account_id, amount_minor)
    office.desk.recharge(account_id, 1_000)
    again = office.desk.deduct(account_id, 800)

    office.deliver_all(webhook_id)

    assert [(each["available_minor"], each["position"]) for each in said(office)] == [(400, 3), (400, again.position)]
    assert set(office.receiver.types()) == {LOW}


def test_an_order_that_holds_money_crosses_it_and_one_that_captures_does_not(office: PostOffice) -> None:
    account_id = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe(types=[LOW])
    placed = office.desk.place(account_id, 60)
    assert placed.order is not None
    office.desk.cancel(placed.order.order_id)
    second = office.desk.place(account_id, 51)

    office.deliver_all(webhook_id)

    assert [(each["event_type"], each["available_minor"]) for each in said(office)] == [
        ("order.placed", 400), ("order.placed", 490),
    ]  # fmt: skip
    assert second.order is not None and said(office)[1]["order_id"] == second.order.order_id


def test_credit_below_zero_crosses_a_threshold_of_zero(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer(recharged_minor=100, threshold="0.00")
    customers.change(office.directory, office.desk.ledger, account_id, {"credit_limit": "10.00"}, ASKER)
    webhook_id = office.subscribe(types=[LOW])
    office.desk.deduct(account_id, 100)
    office.desk.deduct(account_id, 1)

    office.deliver_all(webhook_id)

    assert [each["available_minor"] for each in said(office)] == [-1]


def test_without_a_threshold_or_for_another_customer_nothing_is_said(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    plain = office.customer(recharged_minor=1_000)
    watched = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe(types=[LOW], customer_id=plain)
    everything = office.subscribe("/all", types=[LOW])
    for account_id in (plain, watched):
        office.desk.deduct(account_id, 900)

    office.deliver_until(lambda: len(said(office, "/all")) == 1)

    assert said(office) == []
    assert said(office, "/all")[0]["account_id"] == watched
    assert office.read(webhook_id)["failures"] == office.read(everything)["failures"] == 0


def test_a_replay_judges_by_the_threshold_of_today(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe(types=[LOW])
    office.desk.deduct(account_id, 600)
    office.desk.deduct(account_id, 300)
    office.deliver_all(webhook_id)
    office.desk.recharge(account_id, 1)
    before = office.receiver.taken()
    webhooks.replay(office.directory, webhook_id, 1, head=office.head())
    office.deliver_until(lambda: len(said(office)) == 2)

    customers.change(office.directory, office.desk.ledger, account_id, {"low_balance_threshold": "2.00"}, ASKER)
    office.couriers.clear()
    webhooks.replay(office.directory, webhook_id, 1, head=office.head())
    office.deliver_until(lambda: len(said(office)) == 3)

    same, other = office.receiver.taken()[1:]
    assert (same.id, same.body) == (before[0].id, before[0].body)
    assert other.message["data"]["available_minor"] == 100 and other.id != same.id


def test_a_failure_between_the_two_messages_repeats_only_the_second(sqlite_office: PostOffice) -> None:
    from hook_receiver import Reply

    office = sqlite_office
    failed: list[str] = []

    def behaviour(path: str, message_id: str) -> Reply:
        if "_low_" in message_id and not failed:
            failed.append(message_id)
            return Reply(status=500)
        return Reply()

    office.receiver.behaviour = behaviour
    account_id = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe()
    office.desk.deduct(account_id, 600)
    office.desk.deduct(account_id, 1)

    office.deliver_all(webhook_id)

    assert office.receiver.types() == ["deduction.posted", LOW, "deduction.posted"]
    assert len(office.receiver.received) == 4


def test_an_erased_customer_has_no_subscription_and_its_events_hold_no_personal_data(
    sqlite_office: PostOffice,
) -> None:
    office = sqlite_office
    account_id = office.customer(recharged_minor=1_000)
    own = office.subscribe("/own", customer_id=account_id)
    webhook_id = office.subscribe("/all")
    office.desk.recharge(account_id, 1, details={"memo": "密语"})
    office.deliver_all(webhook_id, own)
    asker = Asker(actor="system:erasure", correlation_id="erasure")

    customers.erase(office.directory, office.desk.ledger, account_id, asker)
    office.deliver_all(webhook_id)

    assert office.receiver.types("/all")[-1] == "account.suspended"
    everything = b"".join(each.body for each in office.receiver.received)
    assert "密语".encode() not in everything and "王芳".encode() not in everything
    assert [row["id"] for row in office.desk.rows("SELECT id FROM webhooks")] == [webhook_id]
    assert office.desk.rows(f"SELECT * FROM webhook_deliveries WHERE webhook_id = '{own}'") == []
