"""Transactions: what moved money, with the balance after it, found as by looking at every event."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import log
from ledger.commands import ReverseTransaction
from projections.context import Context
from projections.drain import drain_with
from projections.transaction_search import TransactionFilters, TransactionText, search
from projections.transactions import TYPES, Transaction
from shop import fill
from submissions import Desk


@pytest.fixture
def filled(desk: Desk, use: Context) -> Context:
    accounts = fill(desk.ledger, random.Random(11), customers=4, orders=150)
    for account_id in accounts:
        desk.deduct(account_id, 50)
    drain_with(use, "transactions", linger_s=0)
    return use


def every(use: Context) -> list[Transaction]:
    page = search(use.redis, TransactionFilters(), sort="oldest", limit=500)
    assert page.next is None
    return list(page.transactions)


def test_every_event_that_moved_money_is_a_transaction_with_its_balance(filled: Context) -> None:
    with filled.engine.connect() as connection:
        events = [each for each in log.events_after(connection, 0, 10_000) if each.postings != b"[]"]

    found = every(filled)

    assert [each.position for each in found] == [each.position for each in events]
    for transaction, event in zip(found, events, strict=True):
        assert (transaction.available_minor, transaction.held_minor) == (event.available_minor, event.held_minor)
    assert {each.type for each in found} > {"recharge.posted", "deduction.posted", "order.placed", "order.completed"}


def test_changes_add_up_to_the_balance(filled: Context) -> None:
    totals: dict[str, tuple[int, int]] = {}
    for each in every(filled):
        available, held = totals.get(each.account_id, (0, 0))
        totals[each.account_id] = (available + each.available_change_minor, held + each.held_change_minor)

        assert totals[each.account_id] == (each.available_minor, each.held_minor)


def test_a_reversal_and_what_it_reversed_name_each_other(desk: Desk, use: Context) -> None:
    account_id = desk.open()
    position = desk.recharge(account_id, 500).position
    drain_with(use, "transactions", linger_s=0)

    reversal = desk.submit(
        ReverseTransaction(reverses_position=position, account_id=account_id, signed_amount_minor=500)
    )
    drain_with(use, "transactions", linger_s=0)

    by_position = {each.position: each for each in every(use)}
    assert by_position[position].reversed_by == reversal.position
    assert by_position[reversal.position].reverses_position == position
    assert by_position[reversal.position].available_change_minor == -500


def matches(each: Transaction, filters: TransactionFilters) -> bool:
    reference, text = (each.reference or "").casefold(), filters.text

    def starts(prefix: str) -> bool:
        return each.reference is not None and reference.startswith(prefix.casefold())

    return all(
        (
            filters.customer_ids is None or each.account_id in filters.customer_ids,
            filters.types is None or each.type in filters.types,
            filters.order_id in (None, each.order_id),
            filters.reference is None or (each.reference is not None and reference == filters.reference.casefold()),
            filters.reference_prefix is None or starts(filters.reference_prefix),
            filters.position_from is None or each.position >= filters.position_from,
            filters.position_to is None or each.position <= filters.position_to,
            filters.amount_min_minor is None or each.amount_minor >= filters.amount_min_minor,
            filters.amount_max_minor is None or each.amount_minor <= filters.amount_max_minor,
            text is None
            or each.order_id in text.order_ids
            or each.account_id in text.customer_ids
            or any(starts(prefix) for prefix in text.reference_prefixes),
        )
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_search_finds_what_looking_at_every_one_finds(filled: Context, data: st.DataObject) -> None:
    transactions = every(filled)
    orders = st.sampled_from([each.order_id for each in transactions if each.order_id is not None])
    customers = st.sampled_from(sorted({each.account_id for each in transactions}))
    prefixes = st.sampled_from(["inv", "INV-1", "发", "strass", "", "none"])
    positions, amounts = st.integers(0, transactions[-1].position), st.sampled_from([0, 50, 51, 250, 10**9])
    filters = data.draw(
        st.builds(
            TransactionFilters,
            customer_ids=st.none() | st.lists(customers, max_size=3),
            types=st.none() | st.lists(st.sampled_from(TYPES), max_size=3),
            order_id=st.none() | st.none() | orders,
            reference=st.none() | st.none() | prefixes,
            reference_prefix=st.none() | prefixes,
            position_from=st.none() | positions,
            position_to=st.none() | positions,
            amount_min_minor=st.none() | amounts,
            amount_max_minor=st.none() | amounts,
            text=st.none()
            | st.builds(
                TransactionText,
                order_ids=st.lists(orders, max_size=2),
                customer_ids=st.lists(customers, max_size=2),
                reference_prefixes=st.lists(prefixes, max_size=2),
            ),
        )
    )
    sort = data.draw(st.sampled_from(["newest", "oldest"]))

    found, after, limit = [], None, data.draw(st.sampled_from([4, 500]))
    while True:
        page = search(filled.redis, filters, sort=sort, limit=limit, after=after)  # type: ignore[arg-type]
        found += page.transactions
        after = page.next
        if after is None:
            break

    wanted = [each for each in transactions if matches(each, filters)]
    assert found == (wanted if sort == "oldest" else wanted[::-1])
