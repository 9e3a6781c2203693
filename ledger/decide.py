"""From a command and the state it touches to the event it causes.

`State` is what the appender has loaded; the rules themselves are in ledger.accounts and ledger.orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, assert_never

from ledger import accounts, orders
from ledger.accounts import Account
from ledger.commands import (
    CancelOrder,
    ChangeLevel,
    Command,
    CompleteOrder,
    Deduct,
    EraseCustomer,
    FailOrder,
    OpenAccount,
    OrderCommand,
    ParkOrder,
    PlaceOrder,
    Reactivate,
    Recharge,
    ResolveOrder,
    ReverseTransaction,
    SetCreditLimit,
    StartOrder,
    Suspend,
)
from ledger.errors import AccountNotFound, OrderNotFound, TransactionNotReversible
from ledger.events import Event, OrderEvent, TransactionReversed
from ledger.orders import Order


@dataclass(slots=True)
class State:
    """The part of the write-side state that a group of commands touches: by account id, order id, and reversed
    position.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    reversed_by: dict[int, int] = field(default_factory=dict)

    def copy(self) -> State:
        """Return an independent copy, to try commands on."""
        return State(accounts=dict(self.accounts), orders=dict(self.orders), reversed_by=dict(self.reversed_by))


class Decision(NamedTuple):
    """What a command leads to: the account and order concerned, and the event, or None when it is already so."""

    account_id: str
    order_id: str | None
    event: Event | None


def decide(state: State, command: Command) -> Decision:
    """Decide one command. Raises Refused; the state is untouched either way."""
    match command:
        case OpenAccount():
            return Decision(
                command.account_id, None, accounts.open_account(state.accounts.get(command.account_id), command)
            )
        case PlaceOrder():
            account = _account(state, command.account_id)
            return Decision(
                account.account_id, command.order_id, orders.place(account, state.orders.get(command.order_id), command)
            )
        case StartOrder() | CompleteOrder() | FailOrder() | CancelOrder() | ParkOrder() | ResolveOrder():
            order = state.orders.get(command.order_id)
            if order is None:
                raise OrderNotFound(order_id=command.order_id)
            return Decision(order.account_id, order.order_id, _decide_order(order, command))
        case ReverseTransaction() if command.account_id == "":
            raise TransactionNotReversible(position=command.reverses_position)
        case _:
            account = _account(state, command.account_id)
            return Decision(account.account_id, None, _decide_account(state, account, command))


def apply(state: State, decision: Decision, *, position: int) -> None:
    """Fold a decided event into the state at its position."""
    event = decision.event
    if event is None:
        return
    account = state.accounts.get(decision.account_id)
    state.accounts[decision.account_id] = accounts.evolve(
        account, event, account_id=decision.account_id, position=position
    )
    if decision.order_id is not None and isinstance(event, OrderEvent):
        order = state.orders.get(decision.order_id)
        state.orders[decision.order_id] = orders.evolve(
            order, event, order_id=decision.order_id, account_id=decision.account_id, position=position
        )
    if isinstance(event, TransactionReversed):
        state.reversed_by[event.reverses_position] = position


def _account(state: State, account_id: str) -> Account:
    account = state.accounts.get(account_id)
    if account is None:
        raise AccountNotFound(account_id=account_id)
    return account


def _decide_account(
    state: State,
    account: Account,
    command: ChangeLevel
    | SetCreditLimit
    | Suspend
    | Reactivate
    | Recharge
    | Deduct
    | ReverseTransaction
    | EraseCustomer,
) -> Event | None:
    match command:
        case Recharge():
            return accounts.recharge(account, command)
        case Deduct():
            return accounts.deduct(account, command)
        case ReverseTransaction():
            return accounts.reverse(account, command, reversed_by=state.reversed_by.get(command.reverses_position))
        case ChangeLevel():
            return accounts.change_level(account, command)
        case SetCreditLimit():
            return accounts.set_credit_limit(account, command)
        case Suspend():
            return accounts.suspend(account, command)
        case Reactivate():
            return accounts.reactivate(account, command)
        case EraseCustomer():
            return accounts.erase(account, command)
        case _:
            assert_never(command)


def _decide_order(order: Order, command: OrderCommand) -> Event:
    match command:
        case StartOrder():
            return orders.start(order, command)
        case CompleteOrder():
            return orders.complete(order, command)
        case FailOrder():
            return orders.fail(order, command)
        case CancelOrder():
            return orders.cancel(order, command)
        case ParkOrder():
            return orders.park(order, command)
        case ResolveOrder():
            return orders.resolve(order, command)
        case _:
            assert_never(command)
