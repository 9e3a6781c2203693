"""The physical limit: the same rows of the events table, encoded beforehand, on one connection, and nothing else.

No account is read or changed, no key is looked up; each statement of as many rows as a batch commits itself.
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from bench.ledger_way import deduction, opening
from bench.ways import SupplyExhausted
from ledger.append.entry import Unit, prepare
from ledger.append.group import Loaded, decide_group
from ledger.append.statements import writing_events
from ledger.clock import now_us
from ledger.database import open_append_connection, open_engine
from ledger.decide import State
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings

ROWS_PER_STATEMENT = 1_000


class RawInsert:
    """One connection and a supply of INSERT statements, made by the ledger's own rules and its own SQL."""

    def __init__(self, url: str, *, accounts: int, callers: int) -> None:
        self._url = url
        self._accounts = accounts
        self._settings = LedgerSettings(database_url=url)
        self._connection = open_append_connection(url, self._settings)
        self._engine = open_engine(url, self._settings)
        self._state = State()
        self._position = 0
        self._supply: deque[str] = deque()
        self._rows = 0

    def create(self) -> None:
        """Migrate; the accounts exist in memory only."""
        upgrade(self._url)
        openings = [prepare(opening(number)) for number in range(1, self._accounts + 1)]
        plan = decide_group([Unit(openings, atomic=False)], Loaded(0, 0, self._state, {}), now_us())
        self._position = plan.position

    def make_ready(self, posts: int) -> None:
        """Encode statements until there are enough for this many posts."""
        while len(self._supply) * ROWS_PER_STATEMENT < posts:
            self._supply.append(self._statement())

    def post(self, account: int, key: str) -> None:
        """Not this one's business: single commands are compared with whole ways only."""
        raise NotImplementedError

    def post_batch(self, accounts: Sequence[int], keys: Sequence[str]) -> None:
        """Send the next statement of the supply; accounts and keys are those it was made with."""
        if not self._supply:
            raise SupplyExhausted
        cursor = self._connection.cursor()
        cursor.execute(self._supply.popleft())
        cursor.nextset()
        self._rows += ROWS_PER_STATEMENT

    def post_kind(self, kind: str, account: int, key: str, order: Any) -> Any:
        """Not this one's business either."""
        raise NotImplementedError

    def leave(self) -> None:
        """Nothing."""

    def counters(self) -> dict[str, int]:
        """Count nothing."""
        return {}

    def check(self) -> int:
        """Count the rows and compare their positions with their number."""
        with self._engine.connect() as connection:
            rows, first, last = connection.execute(
                sa.text("SELECT COUNT(*), MIN(position), MAX(position) FROM events")
            ).one()
        assert rows == self._rows and (rows == 0 or last - first + 1 == rows)
        return int(rows)

    def close(self) -> None:
        """Close both connections."""
        self._connection.close()
        self._engine.dispose()

    def _statement(self) -> str:
        entries = [
            prepare(deduction(random.randint(1, self._accounts), uuid.uuid4().hex)) for _ in range(ROWS_PER_STATEMENT)
        ]
        loaded = Loaded(self._position, 0, self._state, {})
        plan = decide_group([Unit(entries, atomic=False)], loaded, now_us())
        self._position = plan.position
        (statement,) = writing_events(plan.events)
        return f"{statement};COMMIT"
