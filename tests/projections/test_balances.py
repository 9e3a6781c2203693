"""The balances read model is the log's, however it was made."""

from __future__ import annotations

import pytest

from ledger import state
from ledger.commands import Suspend
from ledger.errors import ReadUnavailable
from projections.balances import read_balances
from projections.context import Context
from projections.drain import drain_once, drain_with
from submissions import Desk


def expect_equal_to_the_log(use: Context, accounts: list[str]) -> None:
    position, found = read_balances(use.redis, accounts)
    with use.engine.connect() as connection:
        for account_id in accounts:
            expected = state.balance_at(connection, account_id, position)
            assert expected is not None
            balance = found[account_id]
            assert (balance.available_minor, balance.held_minor) == (expected.available_minor, expected.held_minor)
            assert (balance.version, balance.position) == (expected.version, expected.position)


def test_balances_are_those_of_the_log(desk: Desk, use: Context) -> None:
    accounts = [desk.open(recharged_minor=100_000) for _ in range(5)]
    for account_id in accounts:
        desk.place(account_id)

    drain_with(use, "balances", linger_s=0)

    expect_equal_to_the_log(use, accounts)


def test_a_batch_applied_twice_changes_nothing(desk: Desk, use: Context) -> None:
    account_id = desk.open(recharged_minor=100)
    drain_with(use, "balances", linger_s=0)
    before = read_balances(use.redis, [account_id])

    assert drain_once(use.engine, use.redis, "balances", 1_000) == 0

    assert read_balances(use.redis, [account_id]) == before


def test_a_suspended_account_shows_its_status(desk: Desk, use: Context) -> None:
    account_id = desk.open()
    desk.submit(Suspend(account_id=account_id))

    drain_with(use, "balances", linger_s=0)

    assert read_balances(use.redis, [account_id])[1][account_id].status == "suspended"


def test_an_unknown_account_has_no_balance(desk: Desk, use: Context) -> None:
    desk.open()
    drain_with(use, "balances", linger_s=0)

    assert read_balances(use.redis, ["cus_unknown"]) == (1, {})


def test_balances_cannot_be_read_before_the_first_drain(use: Context) -> None:
    with pytest.raises(ReadUnavailable):
        read_balances(use.redis, ["cus_unknown"])


def test_a_redis_that_lost_everything_is_filled_again(desk: Desk, use: Context) -> None:
    accounts = [desk.open(recharged_minor=100) for _ in range(3)]
    assert drain_once(use.engine, use.redis, "balances", 2) == 2
    use.redis.flushall()

    drain_with(use, "balances", linger_s=0)

    expect_equal_to_the_log(use, accounts)
