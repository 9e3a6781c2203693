"""The ledger's own way: commands through `Ledger.append` and `Ledger.append_batch`."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from bench.ways import AMOUNT_MINOR, CREDIT_MINOR
from ledger.append import Ledger
from ledger.commands import Command, Deduct, OpenAccount
from ledger.database import open_engine
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from ledger.submission import Submission
from submissions import prove

ACTOR = "key:key_bench"
CURRENCY = "CNY"
REFERENCE = "order placed from the web shop"


def account_id(number: int) -> str:
    """Return the id of a numbered account, as long as a real one."""
    return f"cus_{number:032x}"


def deduction(account: int, key: str) -> Submission:
    """Return the command that is measured."""
    command = Deduct(account_id=account_id(account), amount_minor=AMOUNT_MINOR, currency=CURRENCY, reference=REFERENCE)
    return _submission(command, key)


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
        self._accept([opening(number) for number in range(1, self._accounts + 1)])

    def make_ready(self, posts: int) -> None:
        """Nothing: a caller makes its commands while the clock runs."""

    def post(self, account: int, key: str) -> None:
        """Append one deduction."""
        outcome = self._ledger.append(deduction(account, key))
        assert outcome.event is not None, outcome.error

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Append deductions as one batch in which each stands for itself."""
        self._accept([deduction(account, key) for account, key in zip(accounts, keys, strict=True)])

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
            taken_minor = connection.execute(sa.text("SELECT -SUM(available_minor) FROM accounts")).scalar_one()
        assert taken_minor == (length - self._accounts) * AMOUNT_MINOR
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
