"""The trial balance: the sum of all postings per ledger account, which is zero per currency."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import log, schema

SCAN_EVENTS = 5_000
"""Events read at once."""


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Sums in minor units by (ledger account, currency), at a position."""

    position: int
    sums: Counter[tuple[str, str]]

    @property
    def currencies(self) -> set[str]:
        """The currencies that occur."""
        return {code for _, code in self.sums}

    def total(self, code: str) -> int:
        """Return the sum over all ledger accounts in a currency."""
        return sum(amount for (_, each), amount in self.sums.items() if each == code)


def trial_balance(connection: sa.Connection, position: int | None = None) -> TrialBalance:
    """Sum the postings of the log up to a position, the head without one, independently of any stored balance."""
    end = log.head(connection).position if position is None else min(position, log.head(connection).position)
    events = schema.events
    sums: Counter[tuple[str, str]] = Counter()
    after = 0
    while after < end:
        query = (
            sa.select(events.c.position, events.c.postings)
            .where(events.c.position > after, events.c.position <= end)
            .order_by(events.c.position)
            .limit(SCAN_EVENTS)
        )
        rows = connection.execute(query).all()
        if not rows:
            break
        for _, postings in rows:
            if postings != b"[]":
                for leg in json.loads(postings):
                    sums[leg["account"], leg["currency"]] += leg["amount_minor"]
        after = rows[-1][0]
    return TrialBalance(end, sums)
