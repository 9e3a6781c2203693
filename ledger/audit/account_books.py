"""What the events of a range of positions say of each account, and what they take for granted of the time before it.

A range may begin in the middle of an account's stream. Its first event there then says what must have been before it
(`Part.begins`), and whatever else was relied on is kept with the position that relied on it; the ranges are put
together in ledger.audit.stitching. Texts are bytes as they are stored.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import msgspec

from ledger.accounts import OPEN, SUSPENDED
from ledger.audit.findings import Found
from ledger.postings import ADJUSTMENTS, FUNDING

NO_LEGS = b"[]"
_AVAILABLE_LEGS = (
    b'[{"account":"customer:%b:available","amount_minor":%d,"currency":"%b"},'
    b'{"account":"%b","amount_minor":%d,"currency":"%b"}]'
)
_FUNDING, _ADJUSTMENTS = FUNDING.encode(), ADJUSTMENTS.encode()


class Part(msgspec.Struct, gc=False):
    """One account within one range: where it stands, and (`first_…`, `lowest_…`, `relied_…`) what it stands on.

    None is what the range has not learnt: currency, status, percentage and credit limit may be from before it. What was
    relied on goes with the position that did.
    """

    account_id: bytes
    first_position: int
    first_version: int
    first_available: int
    first_held: int
    version: int
    available: int
    held: int
    position: int
    lowest: int = 0
    lowest_position: int = 0
    currency: str | None = None
    code: bytes = b""
    status: str | None = None
    percent: str | None = None
    level_id: str | None = None
    is_level_known: bool = False
    credit: int | None = None
    relied_currency: tuple[str, int] | None = None
    relied_percent: tuple[str, int] | None = None
    relied_status: tuple[str, int] | None = None
    reversals: tuple[tuple[int, int, int], ...] = ()
    """Position, position reversed and amount of each transaction.reversed."""

    @property
    def is_opened(self) -> bool:
        """Whether the account was opened within the range."""
        return self.first_version == 0

    def rely_on_currency(self, currency: str, position: int) -> None:
        """Use the currency of the event's postings for an account that was opened before the range."""
        self.currency, self.code = currency, currency.encode()
        self.relied_currency = (currency, position)

    def rely_on_status(self, status: str, position: int) -> None:
        """Hold that the account has this status here."""
        if self.status is None:
            self.relied_status = (status, position)
            self.status = status
        elif self.status != status:
            raise Found(position, f"the account is {self.status} here, and this event needs it {status}")

    def rely_on_percent(self, percent: str, position: int) -> None:
        """Hold that the account has this percentage here."""
        if self.percent is None:
            self.relied_percent = (percent, position)
            self.percent = percent
        elif self.percent != percent:
            raise Found(position, f"the order has {percent} %, the account {self.percent} %")

    def check_balance(self, position: int) -> None:
        """Hold that no held money is missing and that available money is within the credit limit in force; as long as
        that is unknown, remember the lowest.
        """
        if self.held < 0:
            raise Found(position, f"held money is {self.held}")
        if self.credit is None:
            if self.available < self.lowest:
                self.lowest, self.lowest_position = self.available, position
        elif self.available < -self.credit:
            raise Found(position, overdrawn(self.available, self.credit))


def overdrawn(available: int, credit: int) -> str:
    """Say so."""
    return f"available money is {available} with a credit limit of {credit}: the account is overdrawn"


def begin(account_id: bytes, position: int, type_name: bytes, row: tuple[bytes, bytes, bytes, bytes]) -> Part:
    """Return the part of an account that the range meets for the first time: what it must have been before.

    `row`: version, available and held money, postings, as stored.
    """
    version, available, held, postings = row
    if type_name == b"account.opened":
        return _part(account_id, position, 0, 0, 0)
    before = {"available": int(available), "held": int(held)}
    for leg in legs_of(postings, position):
        for side in before:
            if leg["account"] == f"customer:{account_id.decode('utf-8', 'replace')}:{side}":
                before[side] -= leg["amount_minor"]
    return _part(account_id, position, int(version) - 1, before["available"], before["held"])


def _part(account_id: bytes, position: int, version: int, available: int, held: int) -> Part:
    return Part(account_id, position, version, available, held, version, available, held, position)


def legs_of(postings: bytes, position: int) -> list[dict[str, Any]]:
    """Return the postings as stored. Raises Found when they are none."""
    try:
        legs = json.loads(postings)
        if not isinstance(legs, list):
            raise TypeError
        for leg in legs:
            if set(leg) != {"account", "amount_minor", "currency"} or type(leg["amount_minor"]) is not int:
                raise ValueError
    except (ValueError, TypeError):
        raise Found(position, "postings are not a list of account, amount_minor and currency") from None
    return legs


def wrong_postings(postings: bytes, expected: bytes, position: int) -> Found:
    """Say what is wrong with postings that are not what the event's data lead to."""
    sums: dict[str, int] = {}
    for leg in legs_of(postings, position):
        sums[leg["currency"]] = sums.get(leg["currency"], 0) + leg["amount_minor"]
    for currency, amount in sums.items():
        if amount != 0:
            return Found(position, f"postings sum to {amount} {currency} instead of zero")
    return Found(position, f"postings are not those of the event's data, which lead to {expected.decode()}")


class AccountHandler(Protocol):
    """Applies the data of an event that concerns the account alone and returns the postings that they lead to."""

    def __call__(self, part: Part, content: Any, position: int) -> bytes:
        """Do so. Raises Found."""


def _opened(part: Part, content: Any, position: int) -> bytes:
    if part.version != 1:
        raise Found(position, "the account is opened a second time")
    if content.credit_limit_minor < 0:
        raise Found(position, "the credit limit is negative")
    part.currency, part.code = content.currency, content.currency.encode()
    part.status, part.credit = OPEN, content.credit_limit_minor
    part.percent, part.level_id, part.is_level_known = content.discount_percent, content.level_id, True
    return NO_LEGS


def _level_changed(part: Part, content: Any, position: int) -> bytes:
    part.percent, part.level_id, part.is_level_known = content.discount_percent, content.level_id, True
    return NO_LEGS


def _suspended(part: Part, content: Any, position: int) -> bytes:
    part.rely_on_status(OPEN, position)
    part.status = SUSPENDED
    return NO_LEGS


def _reactivated(part: Part, content: Any, position: int) -> bytes:
    part.rely_on_status(SUSPENDED, position)
    part.status = OPEN
    return NO_LEGS


def _credit_limit_changed(part: Part, content: Any, position: int) -> bytes:
    if content.credit_limit_minor < 0:
        raise Found(position, "the credit limit is negative")
    part.credit = content.credit_limit_minor
    return NO_LEGS


def _erased(part: Part, content: Any, position: int) -> bytes:
    return NO_LEGS


def _recharged(part: Part, content: Any, position: int) -> bytes:
    amount = content.amount_minor
    if amount <= 0:
        raise Found(position, f"the amount is {amount}")
    part.available += amount
    return _money_legs(part, content.currency, amount, _FUNDING, position)


def _deducted(part: Part, content: Any, position: int) -> bytes:
    amount = content.amount_minor
    if amount <= 0:
        raise Found(position, f"the amount is {amount}")
    if part.status != OPEN:
        part.rely_on_status(OPEN, position)
    part.available -= amount
    return _money_legs(part, content.currency, -amount, _ADJUSTMENTS, position)


def _reversed(part: Part, content: Any, position: int) -> bytes:
    amount = content.amount_minor
    if amount == 0:
        raise Found(position, "the amount is zero")
    part.reversals += ((position, content.reverses_position, amount),)
    part.available += amount
    return _money_legs(part, content.currency, amount, _FUNDING if amount < 0 else _ADJUSTMENTS, position)


def _money_legs(part: Part, currency: str, amount: int, counterpart: bytes, position: int) -> bytes:
    """Return the postings of money that comes to the account (or goes, below zero) against a platform account."""
    if currency != part.currency:
        raise Found(position, f"the event is in {currency}, the account in {part.currency}")
    code = part.code
    return _AVAILABLE_LEGS % (part.account_id, amount, code, counterpart, -amount, code)


ACCOUNT_HANDLERS: dict[str, AccountHandler] = {
    "account.opened": _opened,
    "account.level_changed": _level_changed,
    "account.suspended": _suspended,
    "account.reactivated": _reactivated,
    "account.credit_limit_changed": _credit_limit_changed,
    "customer.erased": _erased,
    "recharge.posted": _recharged,
    "deduction.posted": _deducted,
    "transaction.reversed": _reversed,
}
