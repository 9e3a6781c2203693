"""The currencies of accounts, which never change, remembered once they were read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from ledger import schema
from ledger.money import Currency, currency
from ledger.reading import read
from ledger.remembering import Remembered

REMEMBERED_MAX = 200_000
IDS_PER_QUERY = 1_000


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

        def query(connection: sa.Connection) -> dict[str, Currency]:
            found = {}
            for start in range(0, len(account_ids), IDS_PER_QUERY):
                wanted = accounts.account_id.in_(account_ids[start : start + IDS_PER_QUERY])
                for account_id, code in connection.execute(
                    sa.select(accounts.account_id, accounts.currency).where(wanted)
                ):
                    found[account_id] = currency(code)
            return found

        return read(self._engine, query)
