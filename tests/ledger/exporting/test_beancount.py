"""Beancount itself loads the export without errors and comes to our balances."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core import data, realization
from hypothesis import given
from hypothesis import strategies as st

from ledger.audit.replaying import replay
from ledger.clock import parse_rfc3339
from ledger.commands import OpenAccount, Recharge
from ledger.exporting.beancount import OPENING, Beancount, account_name
from ledger.exporting.events import ExportedEvent
from ledger.exporting.totals import Totals
from ledger.exporting.writing import Extent
from ledger.postings import available, held
from ledger.proofs.tree import GrowingTree
from ledger.trial import trial_balance
from sealed_books import Books


def loaded(path: Path) -> list[Any]:
    entries, errors, _ = loader.load_file(str(path))
    assert errors == []
    assert entries
    return entries


def balances(entries: list[Any]) -> dict[tuple[str, str], Decimal]:
    """Return Beancount's own sums, without those that are zero."""
    found = {}
    for real in realization.iter_children(realization.realize(entries)):
        for position in real.balance:
            found[real.account, position.units.currency] = position.units.number
    return found


def ours(books: Books, position: int | None = None) -> dict[tuple[str, str], Decimal]:
    """Return the ledger's sums, with the signs of accountants."""
    with books.desk.engine.connect() as connection:
        sums = trial_balance(connection, position).sums
    return {(account_name(account), code): Decimal(-sum_) / 100 for (account, code), sum_ in sums.items() if sum_}


def test_the_books_load_without_errors_and_come_to_the_ledgers_balances(books: Books) -> None:
    entries = loaded(books.export("all.beancount"))

    assert balances(entries) == ours(books)
    for account in replay(books.settings).accounts:
        for name, minor in ((available, account.available_minor), (held, account.held_minor)):
            key = (account_name(name(account.account_id)), account.currency)
            assert balances(entries).get(key, Decimal(0)) == Decimal(-minor) / 100


def test_there_is_a_transaction_for_each_event_that_moved_money(books: Books) -> None:
    entries = loaded(books.export("all.beancount"))

    transactions = [each for each in entries if isinstance(each, data.Transaction)]
    moving = [row for row in books.rows() if row["postings"] != b"[]"]
    assert [int(each.meta["position"]) for each in transactions] == [row["position"] for row in moving]
    for each, row in zip(transactions, moving, strict=True):
        assert (each.payee, each.narration) == (row["account_id"], row["type"])
        assert (each.meta["event_id"], each.meta.get("order")) == (row["event_id"].hex(), row["order_id"])
        moment = datetime.datetime.fromtimestamp(row["recorded_at_us"] // 1_000_000, datetime.UTC)
        assert each.date == moment.date()
    opened = {each.account for each in entries if isinstance(each, data.Open)}
    asserted = {each.account for each in entries if isinstance(each, data.Balance)}
    assert opened == asserted, "every ledger account's balance is asserted at the end"


def test_a_later_range_begins_with_the_balances_before_it(books: Books) -> None:
    first = books.sealed[0].size + 1

    entries = loaded(books.export("later.beancount", first))

    assert balances(entries) == ours(books)
    opening = [each for each in entries if isinstance(each, data.Transaction) and each.narration == "opening balance"]
    assert balances(opening) == ours(books, first - 1)
    assert all(OPENING in {posting.account for posting in each.postings} for each in opening)


def test_a_changed_amount_is_noticed_by_beancount(sqlite_books: Books) -> None:
    path = sqlite_books.export("all.beancount")
    text = path.read_text("utf-8")
    line = next(each for each in text.splitlines() if each.startswith("  Assets:Platform:Funding"))
    amount = line.split()[1]
    cent_more = str(Decimal(amount) + Decimal("0.01"))
    lines = text.replace(f" {amount} CNY", f" {cent_more} CNY", 1).replace(f" -{amount} CNY", f" -{cent_more} CNY", 1)
    path.write_text(lines, "utf-8")

    _, errors, _ = loader.load_file(str(path))

    assert errors and all(type(each).__name__ == "BalanceError" for each in errors)


class NoSource:
    """Stands for a log whose events before the range are not asked for."""


def event(position: int, time: str, postings: str) -> ExportedEvent:
    values = dict.fromkeys(ExportedEvent.__struct_fields__, "cus_1")
    return ExportedEvent(
        **values
        | {"position": position, "recorded_at_us": parse_rfc3339(time), "postings": postings, "leaf_hash": "0" * 64}
    )


def moved(amount_minor: int, code: str) -> str:
    return (
        f'[{{"account":"customer:cus_1:available","amount_minor":{amount_minor},"currency":"{code}"}},'
        f'{{"account":"platform:funding","amount_minor":{-amount_minor},"currency":"{code}"}}]'
    )


def test_balances_are_asserted_when_a_month_has_ended(tmp_path: Path) -> None:
    events = [
        event(1, "2026-10-31T23:59:59.999999Z", moved(1000, "CNY")),
        event(2, "2026-11-01T00:00:00Z", moved(200, "CNY")),
        event(3, "2027-02-03T12:00:00Z", moved(30, "CNY")),
    ]
    totals = Totals(GrowingTree())

    with (tmp_path / "months.beancount").open("wb") as file:
        writer = Beancount(file, NoSource())  # type: ignore[arg-type]
        writer.begin(Extent(first=1, last=3, head=3, created_at="now"))
        totals.take(events)
        writer.take(events)
        writer.end(totals)

    entries = loaded(tmp_path / "months.beancount")
    asserted = [(str(each.date), each.amount.number) for each in entries if isinstance(each, data.Balance)]
    assert {(date, abs(number)) for date, number in asserted} == {
        ("2026-11-01", Decimal("10.00")),
        ("2027-02-01", Decimal("12.00")),
        ("2027-02-04", Decimal("12.30")),
    }


@pytest.mark.parametrize(
    ("code", "amount_minor", "written"), [("JPY", 1234, "1234"), ("KWD", 5, "0.005"), ("CNY", 7, "0.07")]
)
def test_amounts_have_the_currencys_own_decimals(
    sqlite_books: Books, code: str, amount_minor: int, written: str
) -> None:
    command = OpenAccount(account_id="cus_foreign", currency=code)
    assert sqlite_books.desk.submit(command).error is None
    recharge = Recharge(account_id="cus_foreign", amount_minor=amount_minor, currency=code)
    assert sqlite_books.desk.submit(recharge).error is None

    path = sqlite_books.export("all.beancount")

    assert balances(loaded(path))["Liabilities:Customers:Cus-foreign:Available", code] == -Decimal(written)
    assert f"Cus-foreign:Available  -{written} {code}" in path.read_text()


_IDS = st.from_regex(r"[A-Za-z0-9._:\-]{1,40}", fullmatch=True) | st.from_regex(
    r"[a-z]{1,4}_[a-zA-Z0-9]{1,5}", fullmatch=True
)


@given(_IDS, _IDS)
def test_no_two_ledger_accounts_share_a_name_and_beancount_takes_every_name(one: str, other: str) -> None:
    from beancount.core.account import is_valid

    names = {account_name(part(each)) for each in (one, other) for part in (available, held)}

    assert len(names) == 2 * len({one, other})
    assert all(map(is_valid, names))
