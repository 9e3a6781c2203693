"""Everything the ledger can answer other than yes: one tree, stable codes, messages made from fields.

`Refused` is what the rules say no to; it is stored as the command's outcome and raised again, with the same fields,
when the command is repeated. The other branches are never stored.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar


class LedgerError(Exception):
    """The root; `code` is stable and documented, the message is for people."""

    code: ClassVar[str] = "internal"
    message: ClassVar[str] = "something went wrong"

    def fields(self) -> dict[str, Any]:
        """Return the error's own fields, JSON-ready."""
        return (
            {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
            if dataclasses.is_dataclass(self)
            else {}
        )

    def __str__(self) -> str:
        return self.message.format(**self.fields())


class Refused(LedgerError):
    """The rules say no. Stored under the command's idempotency key."""


class Conflict(LedgerError):
    """Someone else was first, or the key was used for something else. Not stored."""


class NotFound(LedgerError):
    """The named thing does not exist, or not for this principal."""


class Unavailable(LedgerError):
    """The ledger cannot answer now; repeat later with the same key."""

    retry_after_s: ClassVar[int] = 1


class CorruptLog(LedgerError):
    """Stored history contradicts itself: stop and call a person."""

    code = "corrupt-log"


@dataclass(eq=False, kw_only=True)
class BadSetting(LedgerError):
    """A setting that cannot be used."""

    code = "bad-setting"
    message = "{variable}: {problem}"
    variable: str
    problem: str


@dataclass(eq=False, kw_only=True)
class UnsafeServer(LedgerError):
    """The database's server would lose or change what it acknowledges; `findings` are checks and how to mend each."""

    code = "unsafe-server"
    message = "the database is not set up safely: {findings}"
    findings: tuple[tuple[str, str], ...]


@dataclass(eq=False, kw_only=True)
class UnsafeStart(LedgerError):
    """Checks refuse to let a process start: a line for each."""

    code = "unsafe-start"
    message = "refused to start: {lines}"
    lines: tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class BadMoney(LedgerError, ValueError):
    """A decimal that is not exactly a sum of money, a price, a percentage or a quantity."""

    code = "bad-money"
    message = "{problem}"
    problem: str


# -- refused
# --------------------------------------------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class AccountNotFound(Refused):
    """No account has this id."""

    code = "account-not-found"
    message = "no customer account {account_id}; open the customer first"
    account_id: str


@dataclass(eq=False, kw_only=True)
class AccountExists(Refused):
    """The account was opened before."""

    code = "account-exists"
    message = "account {account_id} is already open"
    account_id: str


@dataclass(eq=False, kw_only=True)
class AccountSuspended(Refused):
    """A suspended account takes no deductions and no orders."""

    code = "account-suspended"
    message = "account {account_id} is suspended; reactivate it first"
    account_id: str


@dataclass(eq=False, kw_only=True)
class InsufficientFunds(Refused):
    """Available money and credit do not cover the amount."""

    code = "insufficient-funds"
    message = "{needed_minor} {currency} minor units are needed, {spendable_minor} can be spent; recharge the account"
    needed_minor: int
    spendable_minor: int
    currency: str


@dataclass(eq=False, kw_only=True)
class BalanceLimit(Refused):
    """The balance would pass the largest sum the ledger keeps exactly everywhere."""

    code = "balance-limit"
    message = "the balance would pass the limit of {limit_minor} {currency} minor units"
    limit_minor: int
    currency: str


@dataclass(eq=False, kw_only=True)
class CreditLimitInUse(Refused):
    """More credit is in use than the new limit allows."""

    code = "credit-limit-in-use"
    message = "{used_minor} {currency} minor units of credit are in use; the limit cannot be lower"
    used_minor: int
    currency: str


@dataclass(eq=False, kw_only=True)
class AmountOutOfRange(Refused):
    """The computed amount is zero after rounding, or larger than one order may cost."""

    code = "amount-out-of-range"
    message = "the amount would be {amount_minor} {currency} minor units; it must be from 1 to {limit_minor}"
    amount_minor: int
    limit_minor: int
    currency: str


@dataclass(eq=False, kw_only=True)
class ProductNotFound(Refused):
    """No product on sale has this sku."""

    code = "product-not-found"
    message = "no product {product} is on sale"
    product: str


@dataclass(eq=False, kw_only=True)
class QuantityOutOfRange(Refused):
    """The product is not sold in this quantity."""

    code = "quantity-out-of-range"
    message = "{product} is sold in quantities from {minimum} to {maximum}"
    product: str
    minimum: int
    maximum: int


@dataclass(eq=False, kw_only=True)
class CurrencyMismatch(Refused):
    """The amount or the product's price is in another currency than the account."""

    code = "currency-mismatch"
    message = "the account is in {account_currency}, the amount or price in {currency}"
    account_currency: str
    currency: str


@dataclass(eq=False, kw_only=True)
class OrderNotFound(Refused):
    """No order has this id."""

    code = "order-not-found"
    message = "no order {order_id}"
    order_id: str


@dataclass(eq=False, kw_only=True)
class OrderExists(Refused):
    """The order id was used before."""

    code = "order-exists"
    message = "order {order_id} exists already"
    order_id: str


@dataclass(eq=False, kw_only=True)
class OrderNotCancellable(Refused):
    """The order has started or ended; only the executor's confirmation could still cancel it."""

    code = "order-not-cancellable"
    message = "order {order_id} is {status} and cannot be cancelled"
    order_id: str
    status: str


@dataclass(eq=False, kw_only=True)
class OrderInWrongStatus(Refused):
    """The order's status does not allow this step."""

    code = "order-in-wrong-status"
    message = "order {order_id} is {status}; this step needs {needed}"
    order_id: str
    status: str
    needed: str


@dataclass(eq=False, kw_only=True)
class StaleAttempt(Refused):
    """Another runner has taken the order since; this one must not record anything."""

    code = "stale-attempt"
    message = "order {order_id} is at attempt {current}, not {attempt}"
    order_id: str
    attempt: int
    current: int


@dataclass(eq=False, kw_only=True)
class DeliveredOutOfRange(Refused):
    """More was reported delivered than was ordered."""

    code = "delivered-out-of-range"
    message = "delivered {delivered} is not within 0 and the ordered {quantity}"
    delivered: int
    quantity: int


@dataclass(eq=False, kw_only=True)
class TransactionNotReversible(Refused):
    """Only a recharge or a deduction can be reversed."""

    code = "transaction-not-reversible"
    message = "position {position} is not a recharge or a deduction; only those can be reversed"
    position: int


@dataclass(eq=False, kw_only=True)
class AlreadyReversed(Refused):
    """The transaction was reversed before."""

    code = "already-reversed"
    message = "position {position} was reversed at position {reversed_by}"
    position: int
    reversed_by: int


@dataclass(eq=False, kw_only=True)
class BatchRefused(Refused):
    """Another command of the same atomic batch was refused, so none took effect."""

    code = "batch-refused"
    message = "command {index} of this atomic batch was refused, so none took effect"
    index: int


# -- conflict, unavailable
# ------------------------------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class IdempotencyKeyReused(Conflict):
    """The same client used the key for a command with other content."""

    code = "idempotency-key-reused"
    message = "this idempotency key was used for a different command; take a new key for a new command"


@dataclass(eq=False, kw_only=True)
class NothingRecorded(Unavailable):
    """Surely nothing was recorded: overload, or the database could not be reached in time."""

    code = "unavailable"
    message = "the ledger cannot take the command now ({reason}); nothing was recorded, repeat it"
    reason: str


@dataclass(eq=False, kw_only=True)
class OutcomeUnknown(Unavailable):
    """The command may or may not have taken effect; a repeat with the same key settles it."""

    code = "outcome-unknown"
    message = "the outcome is not known ({reason}); repeat the command with the same idempotency key"
    reason: str


@dataclass(eq=False, kw_only=True)
class ReadUnavailable(Unavailable):
    """A read cannot be answered now."""

    code = "unavailable"
    message = "this cannot be read now ({reason}); try again"
    reason: str


@dataclass(eq=False, kw_only=True)
class Undecidable(LedgerError):
    """A command the database keeps refusing for a reason that is our fault; its neighbours were posted."""

    code = "internal"
    message = "the command could not be recorded; nothing was recorded"


def _branches(root: type[Refused]) -> dict[str, type[Refused]]:
    found: dict[str, type[Refused]] = {}
    for branch in root.__subclasses__():
        found[branch.code] = branch
        found |= _branches(branch)
    return found


def refusal_from(code: str, fields: dict[str, Any]) -> Refused:
    """Rebuild a stored refusal. Raises CorruptLog when its code is unknown."""
    try:
        return _branches(Refused)[code](**fields)
    except (KeyError, TypeError):
        raise CorruptLog() from None
