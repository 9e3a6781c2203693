"""A log with every kind of event on a fresh database of each engine, open to whoever is root there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from root import Root, live
from submissions import Desk


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


@pytest.fixture
def root(desk: Desk, ledger_url: str) -> Root:
    """The database's administrator, with a log of every kind of event."""
    live(desk)
    return Root(desk.engine, ledger_url)
