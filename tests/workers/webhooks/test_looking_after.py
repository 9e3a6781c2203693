"""What maintenance does for webhooks: old attempts go, and subscriptions that wait are found without a wake-up."""

from __future__ import annotations

from ledger.clock import now_us
from ledger.directory import deliveries, webhooks
from post_office import PostOffice
from workers.sweeper import webhooks_part
from workers.webhooks import subscriptions


def test_the_last_attempts_of_each_subscription_are_kept(office: PostOffice) -> None:
    account_id = office.customer()
    busy, quiet = office.subscribe("/busy"), office.subscribe("/quiet", types=["deduction.posted"])
    for _ in range(30):
        office.desk.recharge(account_id, 1)
    office.desk.deduct(account_id, 1)
    office.deliver_until(lambda: len(office.attempts(busy)) == 31 and len(office.attempts(quiet)) == 1)
    newest = office.attempts(busy)[-10:]

    removed = deliveries.trim(office.directory, 10)

    assert removed == 21 and deliveries.trim(office.directory, 10) == 0
    assert office.attempts(busy) == newest and len(office.attempts(quiet)) == 1


def test_the_sweeper_wakes_for_what_waits_and_for_nothing_else(sqlite_office: PostOffice) -> None:
    office, woken = sqlite_office, []
    part = webhooks_part(office.desk.engine, office.directory.engine, lambda: woken.append(1), 1.0)
    account_id = office.customer()
    webhook_id = office.subscribe()
    part.run()
    assert woken == []

    office.desk.recharge(account_id, 1)
    part.run()
    assert woken == [1]
    office.deliver_all(webhook_id)
    webhooks.change(office.directory, webhook_id, {"active": False}, head=office.head())
    office.desk.recharge(account_id, 1)
    part.run()
    assert woken == [1]
    webhooks.ask_for_ping(office.directory, webhook_id)
    part.run()
    assert woken == [1, 1]


def test_a_restored_subscription_is_no_further_than_the_log(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    account_id = office.customer()
    ahead, behind = office.subscribe("/ahead"), office.subscribe("/behind")
    for _ in range(5):
        office.desk.recharge(account_id, 1)
    office.deliver_until(lambda: office.lag(ahead) == office.lag(behind) == 0)
    webhooks.replay(office.directory, behind, 2, head=office.head())

    with office.directory.engine.execution_options(write=True).begin() as connection:
        webhooks.go_back(connection, 4)

    assert (office.read(ahead)["position"], office.read(behind)["position"]) == (4, 1)
    assert subscriptions.is_work_due(office.directory.engine, now_us(), office.head())
