"""A replay equals the state the ledger had then, and the balances in the events."""

from __future__ import annotations

from ledger import log
from ledger.audit.replaying import position_at_time, replay
from ledger.settings import LedgerSettings
from ledger.state import accounts_by_id, orders_by_id
from root import live
from submissions import Desk


def test_a_replay_to_the_end_is_the_state_beside_the_log(desk: Desk, ledger_url: str) -> None:
    ids = live(desk)
    settings = LedgerSettings(database_url=ledger_url)

    whole = replay(settings)

    with desk.engine.connect() as connection:
        assert {each.account_id: each for each in whole.accounts} == accounts_by_id(connection, ids)
        for account_id in ids:
            one = replay(settings, customer_id=account_id)
            wanted = orders_by_id(connection, [order.order_id for order in one.orders])
            assert {order.order_id: order for order in one.orders} == wanted
    statuses = desk.rows("SELECT status, COUNT(*) AS count FROM orders GROUP BY status")
    assert whole.order_statuses == {row["status"]: row["count"] for row in statuses}


def test_a_replay_to_any_position_has_the_balances_of_the_events(desk: Desk, ledger_url: str) -> None:
    live(desk)
    settings = LedgerSettings(database_url=ledger_url)
    with desk.engine.connect() as connection:
        events = log.events_after(connection, 0, 1_000)
    balances = {}

    for event in events:
        balances[event.account_id] = (event.available_minor, event.held_minor)
        replayed = replay(settings, position=event.position)
        found = {each.account_id: (each.available_minor, each.held_minor) for each in replayed.accounts}

        assert found == balances and replayed.recorded_at_us == event.recorded_at_us
        assert position_at_time(settings, event.recorded_at_us) >= event.position
