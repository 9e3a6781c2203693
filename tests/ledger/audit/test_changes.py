"""What changed between two positions is the difference of the two replays, and what the events between say."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from ledger.audit.changes import Changes, Money, changes
from ledger.audit.findings import CannotTell
from ledger.audit.replaying import replay
from ledger.errors import AccountNotFound
from ledger.settings import LedgerSettings
from root import Root, live
from submissions import Desk


def moved_by_postings(desk: Desk, first: int, last: int, account_id: str | None = None) -> Counter[str]:
    """What went over the platform's ledger accounts between two positions, by what moved it."""
    found = Counter[str]()
    for row in desk.rows(f"SELECT * FROM events WHERE position > {first} AND position <= {last}"):
        if account_id in (None, row["account_id"]):
            for leg in json.loads(row["postings"]):
                kind = {
                    "recharge.posted": "recharged",
                    "deduction.posted": "deducted",
                    "transaction.reversed": "reversed",
                }.get(row["type"], "captured")
                if leg["account"].startswith("platform:"):
                    found[kind] += leg["amount_minor"]
    return found


def moved(found: Changes) -> Counter[str]:
    """The same as the platform's accounts see it: a recharge takes from funding."""
    (sums,) = found.moved.values() or (None,)
    if sums is None:
        return Counter()
    return Counter(
        {
            "recharged": -sums.recharged_minor,
            "deducted": sums.deducted_minor,
            "reversed": -sums.reversed_minor,
            "captured": sums.captured_minor,
        }
    )


def test_the_changes_are_the_difference_of_two_replays(desk: Desk, ledger_url: str) -> None:
    ids = live(desk)
    settings = LedgerSettings(database_url=ledger_url)
    head = replay(settings).position
    for first, last in ((0, head), (7, 8), (9, head - 3), (head // 2, head), (head, head), (20, 10**9)):
        found = changes(settings, first, last)
        old, new = replay(settings, position=first), replay(settings, position=last)
        before = {each.account_id: Money(each.available_minor, each.held_minor) for each in old.accounts}
        after = {each.account_id: Money(each.available_minor, each.held_minor) for each in new.accounts}

        assert (found.first, found.last, found.times_us) == (
            first,
            min(last, head),
            (old.recorded_at_us, new.recorded_at_us),
        )
        assert {each.account_id: (each.before, each.after) for each in found.accounts} == {
            name: (before.get(name, Money()), money) for name, money in after.items() if before.get(name) != money
        }
        assert found.statuses == (old.order_statuses, new.order_statuses)
        assert +moved(found) == +moved_by_postings(desk, first, last)
        assert -moved(found) == -moved_by_postings(desk, first, last)
        whole = sum(sum(each.after) - sum(each.before) for each in found.accounts)
        assert whole == -moved(found).total()
        for account_id in ids:
            if account_id not in after:
                continue
            one = changes(settings, first, last, customer_id=account_id)
            assert [*one.accounts] == [each for each in found.accounts if each.account_id == account_id]
            assert +moved(one) == +moved_by_postings(desk, first, last, account_id)


def test_the_orders_of_a_customer_to_which_something_happened_are_told(desk: Desk, ledger_url: str) -> None:
    account_id = desk.open(recharged_minor=10_000)
    kept, cancelled = (desk.place(account_id).order for _ in range(2))
    assert kept is not None and cancelled is not None
    before = desk.rows("SELECT position FROM log_head")[0]["position"]
    desk.cancel(cancelled.order_id)
    placed = desk.place(account_id, 7).order
    assert placed is not None

    found = changes(LedgerSettings(database_url=ledger_url), before, before + 2, customer_id=account_id)

    assert [(each.before and each.before.status, each.after.order_id, each.after.status) for each in found.orders] == [
        ("placed", cancelled.order_id, "cancelled"),
        (None, placed.order_id, "placed"),
    ]
    assert found.statuses == ({"placed": 2}, {"placed": 2, "cancelled": 1})
    with pytest.raises(AccountNotFound):
        changes(LedgerSettings(database_url=ledger_url), 0, 9, customer_id="cus_nobody")


def test_a_log_that_breaks_its_rules_is_not_compared(root: Root) -> None:
    root.change(root.position_of("deduction.posted"), available_minor=1)

    with pytest.raises(CannotTell, match="breaks its rules"):
        changes(LedgerSettings(database_url=root.url), 3, 10**6)
