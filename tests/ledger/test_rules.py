"""The rules of accounts and orders: each decision happening, repeated and refused. No socket is touched."""

from collections.abc import Sequence

import pytest

from ledger import errors, events
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
    Reactivate,
    Recharge,
    ResolveOrder,
    ReverseTransaction,
    SetCreditLimit,
    StartOrder,
    Suspend,
)
from ledger.decide import State, apply, decide
from ledger.events import Event
from ledger.money import AMOUNT_MINOR_MAX, BALANCE_MINOR_MAX
from ledger.pricing import Tier

TERMS = ProductTerms(
    sku="sms",
    unit_price="0.10",
    tiers=(Tier(from_quantity=1_000, unit_price="0.08"),),
    quantity_min=10,
    quantity_max=5_000,
    currency="CNY",
)
OPENED = OpenAccount(account_id="cus_1", currency="CNY", level_id="lvl_1", discount_percent="90")
RECHARGED = Recharge(account_id="cus_1", amount_minor=10_000, currency="CNY")


def placing(quantity: int = 100, terms: ProductTerms | None = TERMS, order_id: str = "ord_1") -> PlaceOrder:
    return PlaceOrder(account_id="cus_1", product="sms", quantity=quantity, order_id=order_id, terms=terms)


PLACED = placing()
STARTED = StartOrder(order_id="ord_1", attempt=1, executor="http")


def given(*commands: Command) -> State:
    state = State()
    for position, command in enumerate(commands, start=1):
        apply(state, decide(state, command), position=position)
    return state


def when(state: State, command: Command) -> Event | None:
    return decide(state, command).event


def then_refused(state: State, command: Command, error: type[errors.Refused]) -> errors.Refused:
    with pytest.raises(error) as caught:
        decide(state, command)
    return caught.value


def money(state: State) -> tuple[int, int]:
    account = state.accounts["cus_1"]
    return account.available_minor, account.held_minor


# -- accounts


def test_opening_twice_is_refused() -> None:
    then_refused(given(OPENED), OPENED, errors.AccountExists)


def test_nothing_happens_on_an_account_that_was_never_opened() -> None:
    for command in (RECHARGED, PLACED, Suspend(account_id="cus_1")):
        then_refused(State(), command, errors.AccountNotFound)


def test_a_recharge_adds_to_what_is_available() -> None:
    assert money(given(OPENED, RECHARGED)) == (10_000, 0)


def test_a_recharge_in_another_currency_is_refused() -> None:
    then_refused(given(OPENED), Recharge(account_id="cus_1", amount_minor=1, currency="JPY"), errors.CurrencyMismatch)


def test_a_recharge_beyond_the_largest_exact_balance_is_refused() -> None:
    large = Recharge(account_id="cus_1", amount_minor=AMOUNT_MINOR_MAX, currency="CNY")
    state = given(OPENED, *[large] * (BALANCE_MINOR_MAX // AMOUNT_MINOR_MAX))

    then_refused(state, large, errors.BalanceLimit)


def test_a_deduction_may_take_the_last_unit_but_no_more() -> None:
    state = given(OPENED, RECHARGED, Deduct(account_id="cus_1", amount_minor=10_000, currency="CNY"))

    refusal = then_refused(state, Deduct(account_id="cus_1", amount_minor=1, currency="CNY"), errors.InsufficientFunds)
    assert refusal.fields() == {"needed_minor": 1, "spendable_minor": 0, "currency": "CNY"}


def test_credit_can_be_spent_down_to_its_limit() -> None:
    state = given(
        OPENED,
        SetCreditLimit(account_id="cus_1", credit_limit_minor=500),
        Deduct(account_id="cus_1", amount_minor=500, currency="CNY"),
    )

    assert money(state) == (-500, 0)
    then_refused(state, Deduct(account_id="cus_1", amount_minor=1, currency="CNY"), errors.InsufficientFunds)


def test_a_credit_limit_below_the_credit_in_use_is_refused() -> None:
    state = given(
        OPENED,
        SetCreditLimit(account_id="cus_1", credit_limit_minor=500),
        Deduct(account_id="cus_1", amount_minor=300, currency="CNY"),
    )

    then_refused(state, SetCreditLimit(account_id="cus_1", credit_limit_minor=299), errors.CreditLimitInUse)
    assert when(state, SetCreditLimit(account_id="cus_1", credit_limit_minor=300)) is not None


def test_a_suspended_account_takes_recharges_but_no_orders_and_no_deductions() -> None:
    state = given(OPENED, RECHARGED, Suspend(account_id="cus_1"))

    then_refused(state, PLACED, errors.AccountSuspended)
    then_refused(state, Deduct(account_id="cus_1", amount_minor=1, currency="CNY"), errors.AccountSuspended)
    assert when(state, RECHARGED) == events.RechargePosted(amount_minor=10_000, currency="CNY")


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([OPENED, Suspend(account_id="cus_1")], Suspend(account_id="cus_1")),
        ([OPENED], Reactivate(account_id="cus_1")),
        ([OPENED], ChangeLevel(account_id="cus_1", level_id="lvl_1", discount_percent="90")),
        ([OPENED], SetCreditLimit(account_id="cus_1", credit_limit_minor=0)),
    ],
)
def test_what_is_already_so_causes_no_event(before: Sequence[Command], command: Command) -> None:
    assert when(given(*before), command) is None


def test_a_reactivated_account_takes_orders_again() -> None:
    state = given(OPENED, RECHARGED, Suspend(account_id="cus_1"), Reactivate(account_id="cus_1"), PLACED)

    assert money(state) == (9_100, 900)


# -- reversals


def test_a_reversed_recharge_is_gone_and_cannot_be_reversed_again() -> None:
    reversal = ReverseTransaction(reverses_position=2, account_id="cus_1", signed_amount_minor=10_000)
    state = given(OPENED, RECHARGED, reversal)

    assert money(state) == (0, 0)
    refusal = then_refused(state, reversal, errors.AlreadyReversed)
    assert refusal.fields() == {"position": 2, "reversed_by": 3}


def test_a_recharge_that_was_spent_cannot_be_reversed() -> None:
    state = given(OPENED, RECHARGED, PLACED)

    then_refused(
        state,
        ReverseTransaction(reverses_position=2, account_id="cus_1", signed_amount_minor=10_000),
        errors.InsufficientFunds,
    )


def test_a_reversed_deduction_comes_back() -> None:
    deducted = Deduct(account_id="cus_1", amount_minor=400, currency="CNY")
    state = given(
        OPENED,
        RECHARGED,
        deducted,
        ReverseTransaction(reverses_position=3, account_id="cus_1", signed_amount_minor=-400),
    )

    assert money(state) == (10_000, 0)


def test_only_recharges_and_deductions_can_be_reversed() -> None:
    for account_id in ("", "cus_1"):
        reversal = ReverseTransaction(reverses_position=1, account_id=account_id, signed_amount_minor=0)
        then_refused(given(OPENED), reversal, errors.TransactionNotReversible)


# -- orders


def test_placing_holds_the_price_at_the_accounts_percentage() -> None:
    state = given(OPENED, RECHARGED, PLACED)

    order = state.orders["ord_1"]
    assert (order.status, order.list_amount_minor, order.amount_minor, order.discount_percent) == (
        "placed",
        1_000,
        900,
        "90",
    )
    assert money(state) == (9_100, 900)


def test_a_tier_and_a_changed_level_price_the_next_order() -> None:
    state = given(
        OPENED, RECHARGED, ChangeLevel(account_id="cus_1", level_id="lvl_2", discount_percent="80"), placing(1_000)
    )

    assert state.orders["ord_1"].amount_minor == 6_400


@pytest.mark.parametrize("quantity", [9, 5_001])
def test_a_quantity_that_is_not_sold_is_refused(quantity: int) -> None:
    then_refused(given(OPENED, RECHARGED), placing(quantity), errors.QuantityOutOfRange)


def test_a_product_that_is_not_on_sale_is_refused() -> None:
    then_refused(given(OPENED, RECHARGED), placing(terms=None), errors.ProductNotFound)


def test_an_order_that_costs_nothing_after_rounding_is_refused() -> None:
    free = ProductTerms(sku="sms", unit_price="0.0001", tiers=(), quantity_min=1, quantity_max=10, currency="CNY")

    then_refused(given(OPENED, RECHARGED), placing(1, free), errors.AmountOutOfRange)


def test_an_order_beyond_the_money_is_refused() -> None:
    then_refused(
        given(OPENED, Recharge(account_id="cus_1", amount_minor=899, currency="CNY")), PLACED, errors.InsufficientFunds
    )


def test_an_order_id_is_used_once() -> None:
    then_refused(given(OPENED, RECHARGED, PLACED), PLACED, errors.OrderExists)


def test_a_completed_order_captures_its_whole_hold() -> None:
    state = given(OPENED, RECHARGED, PLACED, STARTED, CompleteOrder(order_id="ord_1", attempt=1, delivered=100))

    assert money(state) == (9_100, 0)
    assert (state.orders["ord_1"].status, state.orders["ord_1"].captured_minor) == ("completed", 900)


def test_a_partial_delivery_captures_its_part_and_releases_the_rest() -> None:
    state = given(OPENED, RECHARGED, PLACED, STARTED, CompleteOrder(order_id="ord_1", attempt=1, delivered=33))

    assert (state.orders["ord_1"].captured_minor, state.orders["ord_1"].released_minor) == (297, 603)
    assert money(state) == (9_703, 0)


def test_more_than_ordered_cannot_be_delivered() -> None:
    state = given(OPENED, RECHARGED, PLACED, STARTED)

    then_refused(state, CompleteOrder(order_id="ord_1", attempt=1, delivered=101), errors.DeliveredOutOfRange)


def test_a_failed_order_releases_its_whole_hold() -> None:
    state = given(OPENED, RECHARGED, PLACED, STARTED, FailOrder(order_id="ord_1", attempt=1, code="rejected"))

    assert money(state) == (10_000, 0)
    assert state.orders["ord_1"].code == "rejected"


def test_a_placed_order_is_cancelled_and_its_money_back() -> None:
    state = given(OPENED, RECHARGED, PLACED, CancelOrder(order_id="ord_1"))

    assert money(state) == (10_000, 0)
    then_refused(state, CancelOrder(order_id="ord_1"), errors.OrderNotCancellable)
    then_refused(state, STARTED, errors.OrderInWrongStatus)


def test_a_started_order_is_cancelled_only_with_the_executors_word() -> None:
    state = given(OPENED, RECHARGED, PLACED, STARTED)

    then_refused(state, CancelOrder(order_id="ord_1"), errors.OrderNotCancellable)
    confirmed = when(state, CancelOrder(order_id="ord_1", confirmed_attempt=1, delivered=10))
    assert confirmed == events.OrderCancelled(
        delivered=10, captured_minor=90, released_minor=810, confirmed_by_executor=True
    )


def test_only_the_next_attempt_may_start_and_only_the_current_one_records() -> None:
    second = StartOrder(order_id="ord_1", attempt=2, executor="http")
    state = given(OPENED, RECHARGED, PLACED, STARTED, second)

    for stale in (STARTED, StartOrder(order_id="ord_1", attempt=4, executor="http")):
        then_refused(state, stale, errors.StaleAttempt)
    for stale_record in (
        CompleteOrder(order_id="ord_1", attempt=1, delivered=100),
        FailOrder(order_id="ord_1", attempt=1, code="x"),
        ParkOrder(order_id="ord_1", attempt=1, code="x"),
        CancelOrder(order_id="ord_1", confirmed_attempt=1),
    ):
        then_refused(state, stale_record, errors.StaleAttempt)


@pytest.mark.parametrize(
    ("resolution", "delivered", "left"), [("completed", 100, 9_100), ("completed", 50, 9_550), ("failed", 0, 10_000)]
)
def test_a_parked_order_keeps_its_hold_until_a_person_resolves_it(resolution: str, delivered: int, left: int) -> None:
    parked = given(OPENED, RECHARGED, PLACED, STARTED, ParkOrder(order_id="ord_1", attempt=1, code="contradiction"))
    assert money(parked) == (9_100, 900)

    apply(
        parked, decide(parked, ResolveOrder(order_id="ord_1", resolution=resolution, delivered=delivered)), position=9
    )

    assert money(parked) == (left, 0)
    assert parked.orders["ord_1"].status == resolution


def test_only_a_parked_order_is_resolved() -> None:
    then_refused(
        given(OPENED, RECHARGED, PLACED),
        ResolveOrder(order_id="ord_1", resolution="failed", delivered=0),
        errors.OrderInWrongStatus,
    )


def test_an_unknown_order_is_refused() -> None:
    then_refused(given(OPENED), CancelOrder(order_id="ord_9"), errors.OrderNotFound)
