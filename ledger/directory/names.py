"""Customer names in memory, so that any part of a name finds its customers without touching a database or Redis.

All names stand in one text, and a search is one scan of it: 20,000 names take a few tens of microseconds.
"""

from __future__ import annotations

import math
import threading
import time
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import sqlalchemy as sa

from ledger.directory.directory import Directory
from ledger.directory.models import Customer, DirectoryState
from ledger.errors import ReadUnavailable

SEPARATOR = "\n"
"""Never part of a name."""
_CHANGES = f"SELECT name_changes FROM {DirectoryState.__tablename__} WHERE id = 1"
REMEMBERED_MAX = 32
"""Parts of names whose customers a snapshot remembers: who turns pages asks for the same again."""


class Names:
    """All customer names as they were at one moment."""

    def __init__(self, changes: int, rows: Sequence[Any]) -> None:
        self.changes = changes
        self._ids: list[str] = [row[0] for row in rows]
        self._names: dict[str, str] = {row[0]: row[1] for row in rows}
        texts = [folded(name) for _, name in rows]
        self._text = SEPARATOR.join(texts)
        self._starts = list(accumulate((len(text) + len(SEPARATOR) for text in texts[:-1]), initial=0))
        self._remembered = lru_cache(REMEMBERED_MAX)(self._matching)

    def matching(self, part: str) -> Sequence[str]:
        """Return the ids of the customers whose name contains the part, letters in any case and width."""
        wanted = folded(part)
        return self._remembered(wanted) if wanted and SEPARATOR not in wanted else ()

    def names_of(self, customer_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of the customers that exist."""
        names = self._names
        return {customer_id: names[customer_id] for customer_id in customer_ids if customer_id in names}

    def name_of(self, customer_id: str) -> str | None:
        """Return the customer's name, None when there is no such customer."""
        return self._names.get(customer_id)

    def _matching(self, wanted: str) -> tuple[str, ...]:
        found = []
        at = self._text.find(wanted)
        while at >= 0:
            index = bisect_right(self._starts, at) - 1
            found.append(self._ids[index])
            at = self._text.find(wanted, self._starts[index + 1]) if index + 1 < len(self._starts) else -1
        return tuple(found)


class CustomerNames:
    """All customer names, read again when a name has changed since. Thread-safe.

    While the directory cannot be reached, they are as they were at most `grace_s` before.
    """

    def __init__(self, directory: Directory, *, grace_s: float = 0.0) -> None:
        self._directory = directory
        self._grace_s = grace_s
        self._read_at_s = -math.inf
        self._reading = threading.Lock()
        self._names = Names(-1, [])

    def now(self) -> Names:
        """Return the names as they are; several questions of one request ask the same snapshot. Raises ReadUnavailable."""
        try:
            names = self._now()
        except ReadUnavailable:
            if time.monotonic() - self._read_at_s > self._grace_s:
                raise
            return self._names
        self._read_at_s = time.monotonic()
        return names

    def _now(self) -> Names:
        with self._directory.reading() as session:
            # Every search asks this: the driver's own text, as building the statement takes longer than the answer.
            changes = session.connection().exec_driver_sql(_CHANGES).scalar() or 0
            if changes == self._names.changes:
                return self._names
            with self._reading:
                if changes != self._names.changes:
                    self._names = Names(changes, session.execute(sa.select(Customer.id, Customer.name)).all())
                return self._names

    def matching(self, part: str) -> list[str]:
        """Return the ids of the customers whose name contains the part, letters in any case and width."""
        return list(self.now().matching(part))

    def names_of(self, customer_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of the customers that exist."""
        return self.now().names_of(customer_ids)

    def name_of(self, customer_id: str) -> str | None:
        """Return the customer's name, None when there is no such customer."""
        return self.now().name_of(customer_id)


def folded(text: str) -> str:
    """Return the text as it is compared: compatibility forms and letter case do not matter."""
    return unicodedata.normalize("NFKC", text).casefold()
