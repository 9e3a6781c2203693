"""The compact layout of transactions: what shares a place is told apart, and a line says what the event said."""

from __future__ import annotations

import random

import pytest

from ledger import log
from ledger.commands import ReverseTransaction
from ledger.log import Excerpt
from projections import transaction_layout
from projections.context import Context
from projections.diff import diff
from projections.drain import drain_once
from projections.redis_clients import open_redis
from projections.settings import ProjectionSettings
from projections.transaction_documents import TYPE_CODES, decode, encode
from projections.transaction_search import TransactionFilters, TransactionText, search
from shop import fill
from submissions import Desk


def drain(use: Context, batch_events: int = 60) -> None:
    while drain_once(use.engine, use.redis, "transactions", batch_events):
        pass


def positions(use: Context, filters: TransactionFilters, limit: int = 500) -> list[int]:
    return [each.position for each in search(use.redis, filters, limit=limit).transactions]


def test_orders_whose_ids_share_a_checksum_are_told_apart(
    desk: Desk, use: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction_layout, "id_field", lambda order_id: ("i:0", "0"))
    fill(desk.ledger, random.Random(3), customers=2, orders=50)

    drain(use)

    with use.engine.connect() as connection:
        events = [each for each in log.events_after(connection, 0, 10_000) if each.type in TYPE_CODES]
    for order_id in {each.order_id for each in events if each.order_id is not None}:
        expected = [each.position for each in events if each.order_id == order_id]
        assert positions(use, TransactionFilters(order_id=order_id)) == expected[::-1]
        assert positions(use, TransactionFilters(text=TransactionText(order_ids=[order_id]))) == expected[::-1]


def test_searches_give_the_same_on_redis_and_on_valkey(desk: Desk, use: Context, either_url: str) -> None:
    accounts = fill(desk.ledger, random.Random(3), customers=5, orders=150)
    client = open_redis(either_url)
    other = Context(
        engine=use.engine, redis=client, queue_redis=client, settings=ProjectionSettings(redis_url=either_url)
    )
    drain(other, 77)

    found = positions(other, TransactionFilters(customer_ids=accounts))

    assert len(found) > 100 and found == sorted(found, reverse=True)
    assert found == positions(other, TransactionFilters(types=list(TYPE_CODES)))
    assert positions(other, TransactionFilters(position_from=found[20], position_to=found[3])) == found[3:21]
    assert diff(other.engine, client, "transactions").differences == ()
    client.close()


def test_a_walk_of_many_steps_goes_on_where_the_last_one_ended(
    desk: Desk, use: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.walk.STEP_CANDIDATES_MAX", 7)
    accounts = fill(desk.ledger, random.Random(3), customers=5, orders=50)
    drain(use)
    everything = positions(use, TransactionFilters())

    seen, after = [], None
    while True:
        page = search(use.redis, TransactionFilters(customer_ids=accounts), sort="oldest", limit=10, after=after)
        seen += [each.position for each in page.transactions]
        after = page.next
        if after is None:
            break

    assert seen == everything[::-1]


def test_a_reversal_in_a_later_batch_marks_what_it_reversed(desk: Desk, use: Context) -> None:
    account_id = desk.open()
    position = desk.recharge(account_id, 500).position
    drain(use)
    reversal = ReverseTransaction(reverses_position=position, account_id=account_id, signed_amount_minor=500)
    desk.submit(reversal)

    drain(use, 1)

    newest, first = search(use.redis, TransactionFilters(customer_ids=[account_id])).transactions
    assert (first.reversed_by, newest.reverses_position) == (newest.position, first.position)
    assert diff(use.engine, use.redis, "transactions").differences == ()


@pytest.mark.parametrize("reference", [None, "", "INV-1", "a=b,c", "STRASSE", "Straße", "发票=7", "\0", "7=x", "É=é"])
@pytest.mark.parametrize("kind", TYPE_CODES)
@pytest.mark.parametrize("names", [("key:key_" + "0a" * 16, "req_" + "f0" * 16), ("agent", "x_" + "0A" * 16)])
def test_a_document_is_read_as_it_was_written(kind: str, reference: str | None, names: tuple[str, str]) -> None:
    event = Excerpt(
        position=9,
        account_id="other:1",
        version=3,
        type=kind,
        schema_version=1,
        order_id=None if reference else "ord_" + "12" * 16,
        actor=names[0],
        correlation_id=names[1],
        recorded_at_us=1_700_000_000_000_000,
        available_minor=-5,
        held_minor=0,
        leaf="",
        data="",
        postings="",
    )
    for available, held in ((7, 0), (-7, 0), (-7, 7), (0, -7), (7, -7), (3, -7), (0, 0)):
        found = decode(encode(event, available, held, "CNY", reference, 4 if reference else None), 11)

        for name in ("position", "account_id", "version", "type", "order_id", "actor", "correlation_id"):
            assert getattr(found, name) == getattr(event, name)
        assert (found.available_change_minor, found.held_change_minor) == (available, held)
        assert (found.amount_minor, found.recorded_at_us) == (max(abs(available), abs(held)), event.recorded_at_us)
        assert (found.available_minor, found.held_minor, found.currency) == (-5, 0, "CNY")
        assert (found.reference, found.reverses_position, found.reversed_by) == (
            reference,
            4 if reference else None,
            11,
        )


def test_a_field_with_a_separator_is_refused() -> None:
    event = Excerpt(1, "cus_1", 1, "recharge.posted", 1, None, "a,b", "req", 1, 1, 0, "", "", "")

    with pytest.raises(ValueError, match="separator"):
        encode(event, 1, 0, "CNY", None, None)
