"""A ledger on a fresh database of each engine, and short ways to submit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from submissions import Desk


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()
