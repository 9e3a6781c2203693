"""The currencies of accounts, which never change, remembered once they were read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from ledger import schema
from ledger.money import Currency, currency
from ledger.reading import read
from ledger.remembering import Remembered

REMEMBERED_MAX = 100_000
IDS_PER_QUERY = 1_000
NEIGHBOURS = 200
"""How many more are read with those that are asked for: accounts opened one after the other are often used together."""


class Currencies:
    """Finds currencies of accounts. Thread-safe."""

    def __init__(self, engine: sa.Engine, default: Currency) -> None:
        self._engine = engine
        self._default = default
        self._known = Remembered(self._read, remember_s=math.inf, entries_max=REMEMBERED_MAX)

    def of(self, account_id: str) -> Currency:
        """Return the account's currency; the default for an account that does not exist (yet). Raises ReadUnavailable."""
        return self._known.get(account_id) or self._default

    def learn(self, account_ids: Iterable[str]) -> None:
        """Read those that are not known yet, so that `of` need not one by one. Raises ReadUnavailable."""
        self._known.learn(account_ids)

    def _read(self, account_ids: Sequence[str]) -> dict[str, Currency]:
        accounts = schema.accounts.c
        columns = sa.select(accounts.account_id, accounts.currency)
        pages = [account_ids[start : start + IDS_PER_QUERY] for start in range(0, len(account_ids), IDS_PER_QUERY)]
        neighbours = columns.where(accounts.account_id > max(account_ids)).order_by(accounts.account_id)

        def query(connection: sa.Connection) -> dict[str, Currency]:
            queries = [columns.where(accounts.account_id.in_(page)) for page in pages]
            rows = [row for each in (*queries, neighbours.limit(NEIGHBOURS)) for row in connection.execute(each)]
            return {account_id: currency(code) for account_id, code in rows}

        return read(self._engine, query)
