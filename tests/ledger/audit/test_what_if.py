"""What a replay with other prices says is what a ledger that really had them came to."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from ledger import codec, log
from ledger.append import Ledger
from ledger.audit.repricing import Effect, Repricing, WhatIf, sums
from ledger.audit.what_if import events_to_read, row, what_if
from ledger.commands import (
    CancelOrder,
    ChangeLevel,
    Command,
    CompleteOrder,
    Deduct,
    FailOrder,
    OpenAccount,
    ParkOrder,
    PlaceOrder,
    ProductTerms,
    Recharge,
    ResolveOrder,
    SetCreditLimit,
    StartOrder,
)
from ledger.database import open_engine
from ledger.errors import AccountNotFound, CorruptLog
from ledger.pricing import Tier
from ledger.settings import LedgerSettings
from root import Root, live
from submissions import Desk, submission

ACCOUNTS = ("cus_a", "cus_b")
MORE_CREDIT = 10**12
"""Credit of the other ledger beyond the first one's, so that it takes every order that the first one took."""
PERCENTS = st.integers(100, 10_000).map(lambda hundredths: f"{hundredths / 100:.2f}".rstrip("0").rstrip("."))
UNIT_PRICES = st.integers(1_000_000, 9_999_999).map(lambda millionths: f"{millionths / 10**6:.6f}")
TIERS = st.lists(st.tuples(st.integers(2, 60), UNIT_PRICES), max_size=2, unique_by=lambda each: each[0])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("recharge", "deduct", "order", "order", "order", "order", "level", "credit")),
        st.sampled_from(ACCOUNTS),
        st.integers(1, 80),
        st.sampled_from(("open", "completed", "partly", "failed", "cancelled", "resolved", "parked", "cancelled late")),
    ),
    min_size=1,
    max_size=25,
)


@contextmanager
def opened(path: Path, migrated: Path) -> Iterator[Desk]:
    shutil.copyfile(migrated, path)
    engine = open_engine(f"sqlite:///{path}", LedgerSettings())
    ledger = Ledger(engine, LedgerSettings())
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()
    path.unlink()


class Prices:
    """What one of the two ledgers charges: at the level "gold", at no level, and for its one product."""

    def __init__(self, gold: str, unit_price: str, tiers: Sequence[tuple[int, str]], credit: int) -> None:
        self.gold, self.credit = gold, credit
        self.tiers = tuple(Tier(from_quantity=quantity, unit_price=price) for quantity, price in tiers)
        self.terms = ProductTerms(
            sku="sms",
            unit_price=unit_price,
            tiers=self.tiers,
            quantity_min=1,
            quantity_max=1_000,
            currency="CNY",
        )

    def commands(self, steps: Sequence[Any]) -> list[Command]:
        made: list[Command] = [
            OpenAccount(
                account_id=each,
                currency="CNY",
                level_id="gold",
                discount_percent=self.gold,
                credit_limit_minor=self.credit,
            )
            for each in ACCOUNTS
        ]
        made += [Recharge(account_id=each, amount_minor=30_000, currency="CNY") for each in ACCOUNTS]
        for number, (kind, account_id, size, ending) in enumerate(steps):
            made += self._step(number, kind, account_id, size, ending)
        return made

    def _step(self, number: int, kind: str, account_id: str, size: int, ending: str) -> list[Command]:
        match kind:
            case "recharge":
                return [Recharge(account_id=account_id, amount_minor=size * 10, currency="CNY")]
            case "deduct":
                return [Deduct(account_id=account_id, amount_minor=size * 100, currency="CNY")]
            case "level":
                level_id, percent = ("gold", self.gold) if size % 2 else (None, "100")
                return [ChangeLevel(account_id=account_id, level_id=level_id, discount_percent=percent)]
            case "credit":
                return [SetCreditLimit(account_id=account_id, credit_limit_minor=size * 100 + self.credit)]
        order_id = f"ord_{number}"
        start = StartOrder(order_id=order_id, attempt=1, executor="test")
        park = ParkOrder(order_id=order_id, attempt=1, code="unsure")
        ends: dict[str, list[Command]] = {
            "open": [],
            "completed": [start, CompleteOrder(order_id=order_id, attempt=1, delivered=size)],
            "partly": [start, CompleteOrder(order_id=order_id, attempt=1, delivered=size // 3)],
            "failed": [start, FailOrder(order_id=order_id, attempt=1, code="no")],
            "cancelled": [CancelOrder(order_id=order_id)],
            "cancelled late": [start, CancelOrder(order_id=order_id, confirmed_attempt=1, delivered=size // 2)],
            "parked": [start, park],
            "resolved": [start, park, ResolveOrder(order_id=order_id, resolution="completed", delivered=size // 2)],
        }
        place = PlaceOrder(account_id=account_id, product="sms", quantity=size, order_id=order_id, terms=self.terms)
        return [place, *ends[ending]]


def run_both(desk: Desk, other: Desk, prices: Prices, other_prices: Prices, steps: Sequence[Any]) -> None:
    """Have both ledgers do the same: what the first one takes."""
    taken = []
    done = desk.ledger.append_batch([submission(each) for each in prices.commands(steps)], atomic=False)
    for outcome, command in zip(done, other_prices.commands(steps), strict=True):
        if outcome.error is None:
            taken.append(submission(command))
    assert all(each.error is None for each in other.ledger.append_batch(taken, atomic=False))


def told(desk: Desk, first: int = 1, last: int = 10**9) -> dict[str, Counter[str]]:
    """What the tables of a ledger say of the orders placed in a range, by account."""
    found = {each: Counter[str]() for each in ACCOUNTS}
    query = f"SELECT * FROM orders WHERE placed_position BETWEEN {first} AND {last}"
    for order in desk.rows(query):
        sums_of = found[order["account_id"]]
        sums_of["orders"] += 1
        sums_of["placed"] += order["amount_minor"]
        sums_of["captured"] += order["captured_minor"]
        if order["status"] in ("placed", "executing", "needs_review"):
            sums_of["held"] += order["amount_minor"]
    return found


def difference(effect: Effect) -> dict[str, int]:
    return {
        name: getattr(effect, f"{name}_if_minor") - getattr(effect, f"{name}_minor")
        for name in ("placed", "captured", "held")
    }


def look(desk: Desk, repricing: Repricing, customer_id: str | None = None) -> Mapping[str, Effect]:
    with desk.engine.connect() as connection:
        return what_if(connection, repricing, customer_id=customer_id).effects


def shortages(desk: Desk, other: Desk, account_id: str) -> tuple[int, int | None]:
    """Where the other ledger's account is below the credit that the first one has: orders placed, the first position."""
    query = f"SELECT position, type, data FROM events WHERE account_id='{account_id}' ORDER BY position"
    credit, orders, first = 0, 0, None
    with desk.engine.connect() as one, other.engine.connect() as two:
        events = zip(log.events_after(one, 0, 1_000), log.events_after(two, 0, 1_000), strict=True)
        for event, twin in events:
            if event.account_id != account_id:
                continue
            assert (event.type, event.version) == (twin.type, twin.version), query
            if event.type in ("account.opened", "account.credit_limit_changed"):
                credit = int(event.data.decode().split('"credit_limit_minor":')[1].split(",")[0].rstrip("}"))
            if twin.available_minor < -credit:
                orders += event.type == "order.placed"
                first = first or event.position
    return orders, first


@profile(max_examples=40)
@given(
    steps=STEPS,
    golds=st.tuples(PERCENTS, PERCENTS),
    unit_prices=st.tuples(UNIT_PRICES, UNIT_PRICES),
    tiers=st.tuples(TIERS, TIERS),
    ends=st.tuples(st.integers(1, 40), st.integers(1, 60)),
)
def test_other_prices_change_what_a_ledger_that_really_had_them_shows(
    tmp_path_factory: pytest.TempPathFactory,
    migrated_sqlite: Path,
    steps: Sequence[Any],
    golds: tuple[str, str],
    unit_prices: tuple[str, str],
    tiers: tuple[Any, Any],
    ends: tuple[int, int],
) -> None:
    folder = tmp_path_factory.mktemp("what-if")
    prices = Prices(golds[0], unit_prices[0], tiers[0], 0)
    others = Prices(golds[1], unit_prices[1], tiers[1], MORE_CREDIT)
    rules: dict[str, Any] = {
        "levels": {"gold": golds[1]},
        "prices": {"sms": (Tier(from_quantity=1, unit_price=unit_prices[1]), *others.tiers)},
    }
    with opened(folder / "one", migrated_sqlite) as desk, opened(folder / "two", migrated_sqlite) as other:
        run_both(desk, other, prices, others, steps)

        whole, was, would_be = look(desk, Repricing(**rules)), told(desk), told(other)
        for account_id, effect in whole.items():
            assert effect.orders == was[account_id]["orders"]
            for name in ("placed", "captured", "held"):
                assert getattr(effect, f"{name}_minor") == was[account_id][name]
                assert getattr(effect, f"{name}_if_minor") == would_be[account_id][name]
            assert (effect.short, effect.short_position) == shortages(desk, other, account_id)
            assert effect.refused == 0
        assert {each for each in ACCOUNTS if was[each]} == set(whole)

        first, last = min(ends), max(ends)
        part = look(desk, Repricing(**rules, first=first, last=last))
        was, would_be = told(desk, first, last), told(other, first, last)
        assert {name: difference(each) for name, each in part.items()} == {
            name: {kind: would_be[name][kind] - was[name][kind] for kind in ("placed", "captured", "held")}
            for name in ACCOUNTS
            if was[name]
        }

        same = {"discounts": {"100": "100", golds[0]: golds[0]}, "levels": {"gold": golds[0]}}
        for effect in look(desk, Repricing(**same)).values():
            assert set(difference(effect).values()) == {0}
            assert (effect.short, effect.short_position, effect.refused) == (0, None, 0)


def test_one_customers_replay_is_its_part_of_everybodys(desk: Desk) -> None:
    ids = live(desk)
    for repricing in (
        Repricing(discounts={"100": "50"}, levels={"lev_1": "33.3"}),
        Repricing(prices={"sms": [Tier(from_quantity=50, unit_price="0.77")]}, first=20, last=40),
    ):
        whole = look(desk, repricing)

        parts = {name: effect for each in ids for name, effect in look(desk, repricing, each).items()}

        assert whole == parts and len(whole) > 1
    with desk.engine.connect() as connection:
        head = log.head(connection).position
        costs = [events_to_read(connection, Repricing(first=first)) for first in (1, head, head + 1_000)]
        assert costs == [head, 1 + (head - 1) // 10, head // 10]
        assert 0 < events_to_read(connection, Repricing(), customer_id=ids[0]) < head
        with pytest.raises(AccountNotFound):
            what_if(connection, Repricing(), customer_id="cus_nobody")


def test_a_levels_percentage_goes_before_a_discounts_and_says_nothing_of_other_levels(desk: Desk) -> None:
    one, two = desk.open(recharged_minor=100_000), desk.open(recharged_minor=100_000)
    desk.submit(ChangeLevel(account_id=one, level_id="lev_1", discount_percent="90"))
    desk.submit(ChangeLevel(account_id=two, level_id="lev_2", discount_percent="90"))
    for account_id in (one, two):
        desk.place(account_id, 1_000)  # 1,000 × 0.10 = 100.00, at 90 % 90.00

    effects = look(desk, Repricing(discounts={"90": "80"}, levels={"lev_1": "70"}))

    assert {each: (effects[each].held_minor, effects[each].held_if_minor) for each in (one, two)} == {
        one: (9_000, 7_000),
        two: (9_000, 8_000),
    }
    assert row(sums(effects.values())["CNY"]) == {
        "currency": "CNY", "orders": 2, "placed": "180.00", "placed_if": "150.00", "placed_difference": "-30.00",
        "captured": "0.00", "captured_if": "0.00", "captured_difference": "0.00", "held": "180.00",
        "held_if": "150.00", "held_difference": "-30.00", "available_difference": "30.00", "refused": 0, "short": 0,
        "short_position": None,
    }  # fmt: skip


def test_an_order_that_no_tier_reaches_keeps_its_price_and_one_that_would_be_refused_counts_with_nothing(
    desk: Desk,
) -> None:
    account_id = desk.open(recharged_minor=10_000_090)
    for quantity in (4, 5, 1_000_000):
        assert desk.place(account_id, quantity).error is None  # 0.40, 0.50 and 100,000.00

    # 4 × 0.10 stays 0.40; 5 × 0.000001 rounds to nothing; 1,000,000 × 0.000001 is 1.00.
    cheap = look(desk, Repricing(prices={"sms": [Tier(from_quantity=5, unit_price="0.000001")]}))[account_id]
    # 1,000,000 × 9,999,999,999.99 is more than the ledger takes.
    dear = look(desk, Repricing(prices={"sms": [Tier(from_quantity=6, unit_price="9999999999.99")]}))[account_id]

    assert (cheap.orders, cheap.refused, cheap.placed_minor, cheap.placed_if_minor) == (3, 1, 10_000_090, 140)
    assert (dear.orders, dear.refused, dear.placed_minor, dear.placed_if_minor) == (3, 1, 10_000_090, 90)
    assert (dear.held_minor, dear.held_if_minor, dear.short) == (10_000_090, 90, 0)


def test_a_deduction_for_which_the_money_would_be_gone_is_where_it_lacks_first(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=1_000)
    desk.place(account_id, 50)  # 5.00, or 9.00
    deduction = desk.deduct(account_id, 500)  # all that is left; of 1.00 it could not be taken

    (effect,) = look(desk, Repricing(prices={"sms": [Tier(from_quantity=1, unit_price="0.18")]})).values()

    assert (effect.short, effect.short_position) == (0, deduction.position)


def test_credit_that_was_raised_in_time_pays_for_higher_prices_until_it_is_lowered(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=1_000)
    desk.submit(SetCreditLimit(account_id=account_id, credit_limit_minor=200))
    desk.place(account_id, 100)  # 10.00, or 12.00: 2.00 of credit
    lowered = desk.submit(SetCreditLimit(account_id=account_id, credit_limit_minor=199))

    (effect,) = look(desk, Repricing(prices={"sms": [Tier(from_quantity=1, unit_price="0.12")]})).values()

    assert (effect.short, effect.short_position) == (0, lowered.position)


def test_a_log_without_its_beginning_is_called_corrupt(root: Root) -> None:
    root.run("DELETE FROM events WHERE position = 1")

    with root.engine.connect() as connection, pytest.raises(CorruptLog):
        what_if(connection, Repricing(discounts={"100": "90"}))


def test_the_fold_keeps_no_order_that_has_ended(desk: Desk) -> None:
    live(desk)
    fold = WhatIf(Repricing(discounts={"100": "90", "90": "80"}))
    with desk.engine.connect() as connection:
        for each in log.excerpts_after(connection, 0, 1_000):
            content = codec.content(each.type, each.schema_version, each.data)
            fold.take(each.position, each.account_id, each.type, each.order_id, each.available_minor, content)

    open_orders = desk.rows("SELECT order_id FROM orders WHERE status IN ('placed', 'executing', 'needs_review')")
    assert set(fold._open) == {each["order_id"] for each in open_orders}
