"""Double entry: the signed legs of an event over the ledger's accounts, summing to zero.

A customer has two ledger accounts, available and held; the platform has three: funding (the counterpart of
recharges), revenue (what executed orders earned) and adjustments (the counterpart of deductions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from ledger.events import (
    AccountCreditLimitChanged,
    AccountLevelChanged,
    AccountOpened,
    AccountReactivated,
    AccountSuspended,
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

FUNDING = "platform:funding"
REVENUE = "platform:revenue"
ADJUSTMENTS = "platform:adjustments"


@dataclass(frozen=True, slots=True)
class Posting:
    """One signed leg: `amount_minor` in the minor unit of `currency`, never zero."""

    account: str
    amount_minor: int
    currency: str


def available(account_id: str) -> str:
    """Return the ledger account of what the customer can spend."""
    return f"customer:{account_id}:available"


def held(account_id: str) -> str:
    """Return the ledger account of what the customer's open orders hold."""
    return f"customer:{account_id}:held"


def postings(event: Event, account_id: str, currency: str) -> tuple[Posting, ...]:
    """Return the event's postings on an account kept in `currency`; empty when no money moves."""
    return tuple(Posting(account, amount, currency) for account, amount in _legs(event, account_id) if amount != 0)


def encode_postings(event: Event, account_id: str, currency: str) -> bytes:
    """Return the event's postings as stored bytes: canonical JSON, as `ledger.codec` writes it."""
    # Account names and currency codes are tokens, which need no escaping.
    legs = [
        f'{{"account":"{account}","amount_minor":{amount},"currency":"{currency}"}}'
        for account, amount in _legs(event, account_id)
        if amount != 0
    ]
    return f"[{','.join(legs)}]".encode("ascii")


def _legs(event: Event, account_id: str) -> tuple[tuple[str, int], ...]:
    match event:
        case RechargePosted(amount_minor=amount):
            return ((available(account_id), amount), (FUNDING, -amount))
        case DeductionPosted(amount_minor=amount):
            return ((available(account_id), -amount), (ADJUSTMENTS, amount))
        case TransactionReversed(amount_minor=amount):
            # A negative amount takes a recharge back from the customer, a positive one returns a deduction.
            return ((available(account_id), amount), (FUNDING if amount < 0 else ADJUSTMENTS, -amount))
        case OrderPlaced(amount_minor=amount):
            return ((available(account_id), -amount), (held(account_id), amount))
        case OrderCompleted() | OrderCancelled() | OrderResolved():
            return _end_of_hold(account_id, event.captured_minor, event.released_minor)
        case OrderFailed():
            return _end_of_hold(account_id, 0, event.released_minor)
        case (
            OrderStarted()
            | OrderParked()
            | AccountOpened()
            | AccountLevelChanged()
            | AccountSuspended()
            | AccountReactivated()
            | AccountCreditLimitChanged()
            | CustomerErased()
        ):
            return ()
        case _:
            assert_never(event)


def _end_of_hold(account_id: str, captured_minor: int, released_minor: int) -> tuple[tuple[str, int], ...]:
    return (
        (held(account_id), -captured_minor - released_minor),
        (available(account_id), released_minor),
        (REVENUE, captured_minor),
    )
