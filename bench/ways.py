"""The ways of posting that are compared, and what each must be able to do.

A way takes AMOUNT_MINOR from an account, numbered from 1, and leaves a record of it under an idempotency key that
cannot be used twice. All ways run over the same driver, on connections of their own, READ COMMITTED.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

AMOUNT_MINOR = 1
CREDIT_MINOR = 1_000_000_000_000
"""What each account may be overdrawn by, so that no measured command is refused."""


RECHARGE, DEDUCTION, ORDER, CANCELLATION = KINDS = ("recharge", "deduction", "order", "cancellation")
"""What a mixed load posts; each moves AMOUNT_MINOR, an order holds it and a cancellation releases it."""


class SupplyExhausted(Exception):
    """What was made ready for this sample is used up: it ends here."""


class Way(Protocol):
    """One way of posting, in one process. `post` may be called from several threads, `post_batch` from one."""

    def create(self) -> None:
        """Make the tables and the accounts."""

    def make_ready(self, posts: int) -> None:
        """Make what need not be made while the clock runs, for up to this many posts."""

    def post(self, account: int, key: str) -> None:
        """Post one command durably."""

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Post commands together, durably. May raise SupplyExhausted."""

    def post_kind(self, kind: str, account: int, key: str, order: Any) -> Any:
        """Post one of KINDS durably; return an ORDER's id, which a CANCELLATION on the same account then gets."""

    def leave(self) -> None:
        """End a calling thread's use of the way."""

    def counters(self) -> dict[str, int]:
        """Return what the way counts itself; they only grow."""

    def check(self) -> int:
        """Prove the books and return the number of posts in them. Raises AssertionError."""

    def close(self) -> None:
        """Let go of everything."""


WAYS = {
    "ledger": ("bench.ledger_way", "LedgerWay", "ledger"),
    "bare ledger": ("bench.baselines.bare_ledger", "BareLedger", "ledger"),
    "django": ("bench.baselines.django_way", "DjangoWay", "django"),
    "orm": ("bench.baselines.orm_way", "OrmWay", "sqlalchemy"),
    "eventsourcing": ("bench.baselines.eventsourcing_way", "EventsourcingWay", "eventsourcing"),
    "raw": ("bench.baselines.raw_insert", "RawInsert", "pymysql"),
}
"""Module, class, and the package it needs, by name."""


def is_installed(name: str) -> bool:
    """Say whether the package that the way needs is there."""
    return importlib.util.find_spec(WAYS[name][2]) is not None


def open_way(name: str, url: str, accounts: int, callers: int) -> Way:
    """Import and build a way; its packages are loaded in this process only."""
    module, class_name, _ = WAYS[name]
    way: Way = getattr(importlib.import_module(module), class_name)(url, accounts=accounts, callers=callers)
    return way
