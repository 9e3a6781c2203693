"""Many at once: one effect per key, one winner for the last money, no gap, whatever the interleaving."""

import multiprocessing
import random
import threading
from collections.abc import Callable

import pytest

from ledger import errors
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.ids import new_id
from ledger.settings import LedgerSettings
from ledger.submission import Outcome
from submissions import Desk, prove

CALLERS = 50


def at_once(callers: int, call: Callable[[int], Outcome]) -> list[Outcome]:
    """Run the call in as many threads at the same moment and return the outcomes."""
    barrier, outcomes = threading.Barrier(callers), [Outcome(position=0)] * callers

    def run(index: int) -> None:
        barrier.wait()
        outcomes[index] = call(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_fifty_uses_of_one_key_at_the_same_moment_have_one_effect_and_one_answer(desk: Desk) -> None:
    account_id = desk.open()

    outcomes = at_once(CALLERS, lambda _: desk.recharge(account_id, 100, "one key"))

    assert sum(not each.replayed for each in outcomes) == 1
    assert {(each.position, each.balance.available_minor if each.balance else None) for each in outcomes} == {(2, 100)}
    assert prove(desk.engine) == 2


def test_fifty_for_the_last_unit_of_money_have_one_winner(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=1)

    outcomes = at_once(CALLERS, lambda _: desk.deduct(account_id, 1))

    assert sum(each.error is None for each in outcomes) == 1
    assert sum(isinstance(each.error, errors.InsufficientFunds) for each in outcomes) == CALLERS - 1
    assert prove(desk.engine) == 3


def test_fifty_cancellations_of_one_order_release_its_money_once(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=1_000)
    placed = desk.place(account_id)

    outcomes = at_once(CALLERS, lambda _: desk.cancel(placed.order.order_id if placed.order else ""))

    assert sum(each.error is None for each in outcomes) == 1
    assert prove(desk.engine) == 4


def test_commands_that_wait_together_are_committed_together(desk: Desk) -> None:
    accounts = [desk.open() for _ in range(4)]
    before = desk.ledger.statistics.groups

    at_once(CALLERS, lambda index: desk.recharge(accounts[index % 4], 1))

    assert desk.ledger.statistics.groups - before < CALLERS / 2


def _post_mixed(url: str, accounts: list[str], seed: int, commands: int, threads: int) -> None:
    settings = LedgerSettings()
    engine = open_engine(url, settings)
    desk = Desk(Ledger(engine, settings), engine)

    def run(thread: int) -> None:
        chance, orders = random.Random(seed * 1_000 + thread), []
        for _ in range(commands // threads):
            account_id, kind = chance.choice(accounts), chance.random()
            if kind < 0.3:
                desk.recharge(account_id, chance.randint(1, 5_000))
            elif kind < 0.6:
                desk.deduct(account_id, chance.randint(1, 5_000))
            elif kind < 0.9 or not orders:
                placed = desk.place(account_id, chance.randint(1, 300))
                orders += [placed.order.order_id] if placed.order else []
            else:
                desk.cancel(chance.choice(orders))

    workers = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    desk.ledger.close()


@pytest.mark.parametrize("accounts", [1, 40], ids=["one hot account", "forty accounts"])
def test_two_processes_of_eight_callers_leave_a_log_that_proves_itself(
    desk: Desk, ledger_url: str, accounts: int
) -> None:
    account_ids = [desk.open() for _ in range(accounts)]
    spawn = multiprocessing.get_context("spawn")

    processes = [spawn.Process(target=_post_mixed, args=(ledger_url, account_ids, seed, 800, 8)) for seed in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    # Refused commands leave outcomes but no events.
    assert prove(desk.engine) > 800
    assert desk.rows("SELECT COUNT(*) AS n FROM outcomes")[0]["n"] == 1_600 + accounts


def test_a_forked_child_appends_through_a_connection_of_its_own(desk: Desk) -> None:
    account_id = desk.open()
    fork = multiprocessing.get_context("fork")

    child = fork.Process(target=lambda: desk.recharge(account_id, 5, new_id("k")))
    child.start()
    child.join()

    assert child.exitcode == 0
    assert desk.recharge(account_id, 7).position == 3
    assert prove(desk.engine) == 3
