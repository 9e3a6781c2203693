"""The ledger's routes on a fresh database, asked as a client asks them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from directory_front import open_front
from till import Till, open_till


@pytest.fixture
def till(ledger_url: str, redis_url: str) -> Iterator[Till]:
    """A customer, a level and a product, once on each engine."""
    front = open_front(ledger_url, redis_url)
    yield open_till(front)
    front.services.close()


@pytest.fixture
def sqlite_till(sqlite_ledger_url: str, redis_url: str) -> Iterator[Till]:
    """A customer, a level and a product on SQLite."""
    front = open_front(sqlite_ledger_url, redis_url)
    yield open_till(front)
    front.services.close()
