"""The directory's routes on a fresh database, asked as a client asks them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from directory_front import Front, open_front


@pytest.fixture
def front(ledger_url: str, redis_url: str) -> Iterator[Front]:
    """An administrator in front of an empty directory, once on each engine."""
    opened = open_front(ledger_url, redis_url)
    yield opened
    opened.services.close()


@pytest.fixture
def sqlite_front(sqlite_ledger_url: str, redis_url: str) -> Iterator[Front]:
    """An administrator in front of an empty directory on SQLite."""
    opened = open_front(sqlite_ledger_url, redis_url)
    yield opened
    opened.services.close()
