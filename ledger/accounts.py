"""A customer's account: its state, how events change it, and the decisions on it alone.

Source: decisions are pure functions of state and command; docs/architecture.md.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from ledger.commands import (
    ChangeLevel,
    Deduct,
    EraseCustomer,
    OpenAccount,
    Reactivate,
    Recharge,
    ReverseTransaction,
    SetCreditLimit,
    Suspend,
)
from ledger.errors import (
    AccountExists,
    AccountSuspended,
    AlreadyReversed,
    BalanceLimit,
    CreditLimitInUse,
    CurrencyMismatch,
    InsufficientFunds,
    TransactionNotReversible,
)
from ledger.events import (
    AccountCreditLimitChanged,
    AccountLevelChanged,
    AccountOpened,
    AccountReactivated,
    CustomerErased,
    DeductionPosted,
    Event,
    OrderCancelled,
    OrderCompleted,
    OrderFailed,
    OrderParked,
    OrderPlaced,
    OrderResolved,
    OrderStarted,
    RechargePosted,
    TransactionReversed,
)
from ledger.events import AccountSuspended as AccountSuspendedEvent
from ledger.money import BALANCE_MINOR_MAX

OPEN = "open"
SUSPENDED = "suspended"


class Account(NamedTuple):
    """The write-side state of one account: a fold of its events. `position` is that of its last event."""

    account_id: str
    version: int
    currency: str
    status: str
    level_id: str | None
    discount_percent: str
    credit_limit_minor: int
    available_minor: int
    held_minor: int
    position: int

    @property
    def spendable_minor(self) -> int:
        """What can be spent now: available money and unused credit."""
        return self.available_minor + self.credit_limit_minor


def evolve(account: Account | None, event: Event, *, account_id: str, position: int) -> Account:
    """Return the account after an event of its stream."""
    if isinstance(event, AccountOpened):
        return Account(
            account_id=account_id,
            version=1,
            currency=event.currency,
            status=OPEN,
            level_id=event.level_id,
            discount_percent=event.discount_percent,
            credit_limit_minor=event.credit_limit_minor,
            available_minor=0,
            held_minor=0,
            position=position,
        )
    if account is None:
        raise TypeError(f"{event.TYPE} before account.opened")
    status, level_id, percent, credit = (
        account.status,
        account.level_id,
        account.discount_percent,
        account.credit_limit_minor,
    )
    available, held = account.available_minor, account.held_minor
    match event:
        case RechargePosted(amount_minor=amount) | TransactionReversed(amount_minor=amount):
            available += amount
        case DeductionPosted(amount_minor=amount):
            available -= amount
        case OrderPlaced(amount_minor=amount):
            available, held = available - amount, held + amount
        case OrderCompleted() | OrderCancelled() | OrderResolved():
            available, held = available + event.released_minor, held - event.captured_minor - event.released_minor
        case OrderFailed(released_minor=released):
            available, held = available + released, held - released
        case OrderStarted() | OrderParked() | CustomerErased():
            pass
        case AccountSuspendedEvent():
            status = SUSPENDED
        case AccountReactivated():
            status = OPEN
        case AccountLevelChanged():
            level_id, percent = event.level_id, event.discount_percent
        case AccountCreditLimitChanged(credit_limit_minor=limit):
            credit = limit
        case _:
            assert_never(event)
    return Account(
        account_id=account_id,
        version=account.version + 1,
        currency=account.currency,
        status=status,
        level_id=level_id,
        discount_percent=percent,
        credit_limit_minor=credit,
        available_minor=available,
        held_minor=held,
        position=position,
    )


def ensure_spendable(account: Account, amount_minor: int) -> None:
    """Raise AccountSuspended or InsufficientFunds unless the account can pay the amount."""
    if account.status == SUSPENDED:
        raise AccountSuspended(account_id=account.account_id)
    _ensure_covered(account, amount_minor)


def _ensure_covered(account: Account, amount_minor: int) -> None:
    if account.spendable_minor < amount_minor:
        raise InsufficientFunds(
            needed_minor=amount_minor, spendable_minor=account.spendable_minor, currency=account.currency
        )


def ensure_currency(account: Account, currency: str) -> None:
    """Raise CurrencyMismatch unless the account is kept in this currency."""
    if account.currency != currency:
        raise CurrencyMismatch(account_currency=account.currency, currency=currency)


def open_account(account: Account | None, command: OpenAccount) -> AccountOpened:
    """Open the account; a second time is refused."""
    if account is not None:
        raise AccountExists(account_id=command.account_id)
    return AccountOpened(
        currency=command.currency,
        level_id=command.level_id,
        discount_percent=command.discount_percent,
        credit_limit_minor=command.credit_limit_minor,
    )


def recharge(account: Account, command: Recharge) -> RechargePosted:
    """Add money; allowed on a suspended account, so that a debt can be paid."""
    ensure_currency(account, command.currency)
    _ensure_within_limit(account, command.amount_minor)
    return RechargePosted(amount_minor=command.amount_minor, currency=command.currency, reference=command.reference)


def deduct(account: Account, command: Deduct) -> DeductionPosted:
    """Take money, within what can be spent."""
    ensure_currency(account, command.currency)
    ensure_spendable(account, command.amount_minor)
    return DeductionPosted(amount_minor=command.amount_minor, currency=command.currency, reference=command.reference)


def reverse(account: Account, command: ReverseTransaction, *, reversed_by: int | None) -> TransactionReversed:
    """Undo a recharge or a deduction, once; a recharge only while its money is still there."""
    if command.signed_amount_minor == 0:
        raise TransactionNotReversible(position=command.reverses_position)
    if reversed_by is not None:
        raise AlreadyReversed(position=command.reverses_position, reversed_by=reversed_by)
    amount_minor = -command.signed_amount_minor
    if amount_minor < 0:
        _ensure_covered(account, -amount_minor)
    else:
        _ensure_within_limit(account, amount_minor)
    return TransactionReversed(
        reverses_position=command.reverses_position, amount_minor=amount_minor, currency=account.currency
    )


def _ensure_within_limit(account: Account, added_minor: int) -> None:
    if account.available_minor + account.held_minor + added_minor > BALANCE_MINOR_MAX:
        raise BalanceLimit(limit_minor=BALANCE_MINOR_MAX, currency=account.currency)


def suspend(account: Account, command: Suspend) -> AccountSuspendedEvent | None:
    """Suspend; already suspended is fulfilled."""
    return None if account.status == SUSPENDED else AccountSuspendedEvent()


def reactivate(account: Account, command: Reactivate) -> AccountReactivated | None:
    """Reactivate; already open is fulfilled."""
    return None if account.status == OPEN else AccountReactivated()


def change_level(account: Account, command: ChangeLevel) -> AccountLevelChanged | None:
    """Set level and percentage; the same again is fulfilled."""
    if (account.level_id, account.discount_percent) == (command.level_id, command.discount_percent):
        return None
    return AccountLevelChanged(level_id=command.level_id, discount_percent=command.discount_percent)


def set_credit_limit(account: Account, command: SetCreditLimit) -> AccountCreditLimitChanged | None:
    """Set the credit limit; never below the credit in use."""
    if account.credit_limit_minor == command.credit_limit_minor:
        return None
    if account.available_minor < -command.credit_limit_minor:
        raise CreditLimitInUse(used_minor=-account.available_minor, currency=account.currency)
    return AccountCreditLimitChanged(credit_limit_minor=command.credit_limit_minor)


def erase(account: Account, command: EraseCustomer) -> CustomerErased:
    """Record that the customer's personal data are gone."""
    return CustomerErased()
