"""Whatever commands come, in whatever order: the promises of money hold after each event."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.commands import (
    CancelOrder,
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
from ledger.errors import Refused
from ledger.events import DeductionPosted, Event, RechargePosted
from ledger.orders import TERMINAL
from ledger.postings import available, held, postings

ACCOUNTS = st.sampled_from(["cus_1", "cus_2"])
ORDERS = st.sampled_from(["ord_1", "ord_2", "ord_3"])
AMOUNTS = st.integers(1, 2_000)
ATTEMPTS = st.integers(1, 3)
TERMS = ProductTerms(sku="p", unit_price="0.37", tiers=(), quantity_min=1, quantity_max=1_000, currency="CNY")

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Recharge, account_id=ACCOUNTS, amount_minor=AMOUNTS, currency=st.just("CNY")),
    st.builds(Deduct, account_id=ACCOUNTS, amount_minor=AMOUNTS, currency=st.just("CNY")),
    st.builds(SetCreditLimit, account_id=ACCOUNTS, credit_limit_minor=st.integers(0, 500)),
    st.builds(Suspend, account_id=ACCOUNTS) | st.builds(Reactivate, account_id=ACCOUNTS),
    st.builds(
        PlaceOrder,
        account_id=ACCOUNTS,
        product=st.just("p"),
        quantity=st.integers(1, 99),
        order_id=ORDERS,
        terms=st.just(TERMS),
    ),
    st.builds(StartOrder, order_id=ORDERS, attempt=ATTEMPTS, executor=st.just("http")),
    st.builds(CompleteOrder, order_id=ORDERS, attempt=ATTEMPTS, delivered=st.integers(0, 120)),
    st.builds(FailOrder, order_id=ORDERS, attempt=ATTEMPTS, code=st.just("x")),
    st.builds(CancelOrder, order_id=ORDERS, confirmed_attempt=st.none() | ATTEMPTS, delivered=st.integers(0, 99)),
    st.builds(ParkOrder, order_id=ORDERS, attempt=st.integers(0, 3), code=st.just("x")),
    st.builds(
        ResolveOrder, order_id=ORDERS, resolution=st.sampled_from(["completed", "failed"]), delivered=st.integers(0, 99)
    ),
    st.integers(1, 60),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(commands, max_size=60))
def test_money_is_never_made_lost_or_overdrawn(wanted: list[Command | int]) -> None:
    state, books, log = State(), Counter[str](), [None]
    for account_id in ("cus_1", "cus_2"):
        _post(state, OpenAccount(account_id=account_id, currency="CNY"), books, log)

    for command in wanted:
        asked = _reversal(log, command) if isinstance(command, int) else command
        if asked is not None:
            _post(state, asked, books, log)

        _check(state, books)


def _post(state: State, command: Command, books: Counter[str], log: list[tuple[str, Event] | None]) -> None:
    try:
        decision = decide(state, command)
    except Refused:
        return
    if decision.event is None:
        return
    apply(state, decision, position=len(log))
    log.append((decision.account_id, decision.event))
    legs = postings(decision.event, decision.account_id, "CNY")
    assert sum(leg.amount_minor for leg in legs) == 0
    for leg in legs:
        books[leg.account] += leg.amount_minor


def _reversal(log: list[tuple[str, Event] | None], position: int) -> Command | None:
    if position >= len(log):
        return None
    entry = log[position]
    assert entry is not None
    account_id, event = entry
    signed = (
        event.amount_minor
        if isinstance(event, RechargePosted)
        else -event.amount_minor
        if isinstance(event, DeductionPosted)
        else 0
    )
    return ReverseTransaction(reverses_position=position, account_id=account_id, signed_amount_minor=signed)


def _check(state: State, books: Counter[str]) -> None:
    assert sum(books.values()) == 0
    for account in state.accounts.values():
        assert account.available_minor == books[available(account.account_id)] >= -account.credit_limit_minor
        open_orders = [
            each
            for each in state.orders.values()
            if each.account_id == account.account_id and each.status not in TERMINAL
        ]
        assert account.held_minor == books[held(account.account_id)] == sum(each.amount_minor for each in open_orders)
    for order in state.orders.values():
        ended = order.status in TERMINAL
        assert order.captured_minor + order.released_minor == (order.amount_minor if ended else 0)
