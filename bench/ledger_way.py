"""The ledger's own way: commands through `Ledger.append` and `Ledger.append_batch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from bench.ways import AMOUNT_MINOR, CREDIT_MINOR
from ledger.append import Ledger
from ledger.commands import CancelOrder, Command, Deduct, OpenAccount, PlaceOrder, ProductTerms, Recharge
from ledger.database import open_engine
from ledger.ids import new_id
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from ledger.submission import Submission
from submissions import prove

ACTOR = "key:key_bench"
CURRENCY = "CNY"
REFERENCE = "order placed from the web shop"
OPENED_TOGETHER = 8_000
TERMS = ProductTerms(sku="sms", unit_price="0.01", tiers=(), quantity_min=1, quantity_max=1_000, currency=CURRENCY)


def account_id(number: int) -> str:
    """Return the id of a numbered account, as long as a real one."""
    return f"cus_{number:032x}"


def deduction(account: int, key: str) -> Submission:
    """Return the command that is measured."""
    command = Deduct(account_id=account_id(account), amount_minor=AMOUNT_MINOR, currency=CURRENCY, reference=REFERENCE)
    return _submission(command, key)


def command_of(kind: str, account: int, order: str | None) -> Command:
    """Return a command of a mixed load."""
    match kind:
        case "recharge":
            return Recharge(
                account_id=account_id(account), amount_minor=AMOUNT_MINOR, currency=CURRENCY, reference=REFERENCE
            )
        case "order":
            return PlaceOrder(
                account_id=account_id(account),
                product=TERMS.sku,
                quantity=AMOUNT_MINOR,
                order_id=new_id("ord"),
                terms=TERMS,
                reference=REFERENCE,
            )
        case "cancellation" if order is not None:
            return CancelOrder(order_id=order)
        case _:
            return Deduct(
                account_id=account_id(account), amount_minor=AMOUNT_MINOR, currency=CURRENCY, reference=REFERENCE
            )


def opening(account: int) -> Submission:
    """Return the command that opens an account with credit enough."""
    command = OpenAccount(account_id=account_id(account), currency=CURRENCY, credit_limit_minor=CREDIT_MINOR)
    return _submission(command, f"open-{account}")


class LedgerWay:
    """One Ledger with its default settings."""

    def __init__(self, url: str, *, accounts: int, callers: int) -> None:
        self._url = url
        self._accounts = accounts
        settings = LedgerSettings(database_url=url)
        self._engine = open_engine(url, settings)
        self._ledger = Ledger(self._engine, settings)

    def create(self) -> None:
        """Migrate and open the accounts."""
        upgrade(self._url)
        for first in range(1, self._accounts + 1, OPENED_TOGETHER):
            self._accept([opening(each) for each in range(first, min(first + OPENED_TOGETHER, self._accounts + 1))])

    def make_ready(self, posts: int) -> None:
        """Nothing: a caller makes its commands while the clock runs."""

    def post(self, account: int, key: str) -> None:
        """Append one deduction."""
        outcome = self._ledger.append(deduction(account, key))
        assert outcome.event is not None, outcome.error

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Append deductions as one batch in which each stands for itself."""
        self._accept([deduction(account, key) for account, key in zip(accounts, keys, strict=True)])

    def post_kind(self, kind: str, account: int, key: str, order: Any) -> Any:
        """Append a command of this kind."""
        outcome = self._ledger.append(_submission(command_of(kind, account, order), key))
        assert outcome.event is not None, outcome.error
        return None if outcome.order is None else outcome.order.order_id

    def leave(self) -> None:
        """Nothing: callers have no connection."""

    def counters(self) -> dict[str, int]:
        """Return the committer's statistics."""
        statistics = self._ledger.statistics
        return {
            "groups": statistics.groups,
            "commands": statistics.commands,
            "round_trips": statistics.round_trips,
            "retries": statistics.retries,
        }

    def check(self) -> int:
        """Fold the whole log anew and compare with what is stored."""
        length = prove(self._engine)
        with self._engine.connect() as connection:
            kept = connection.execute(sa.text("SELECT -SUM(available_minor), SUM(held_minor) FROM accounts")).one()
            types = dict(connection.execute(sa.text("SELECT type, COUNT(*) FROM events GROUP BY type")).tuples().all())
        held_minor = (types.get("order.placed", 0) - types.get("order.cancelled", 0)) * AMOUNT_MINOR
        moved_minor = (types.get("deduction.posted", 0) - types.get("recharge.posted", 0)) * AMOUNT_MINOR
        assert tuple(map(int, kept)) == (moved_minor + held_minor, held_minor)
        return length - self._accounts

    def close(self) -> None:
        """Stop the committer and close the pool."""
        self._ledger.close()
        self._engine.dispose()

    def _accept(self, submissions: Sequence[Submission]) -> None:
        for outcome in self._ledger.append_batch(submissions, atomic=False):
            assert outcome.event is not None, outcome.error


def _submission(command: Command, key: str) -> Submission:
    return Submission(command=command, actor=ACTOR, idempotency_key=key, correlation_id=f"req_{key}")
