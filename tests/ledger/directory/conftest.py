"""A directory and a ledger on a fresh database of each engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.directory import customers, levels
from ledger.directory.customers import Asker
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings

ASKER = Asker(actor="key:test", correlation_id="test")


@dataclass(frozen=True, slots=True)
class Office:
    """Short ways to make customers and levels."""

    directory: Directory
    ledger: Ledger

    def level(self, name: str, percent: str) -> str:
        return str(levels.create(self.directory, [{"name": name, "discount_percent": percent}])[0]["id"])

    def customer(self, name: str = "王芳", **more: Any) -> dict[str, Any]:
        return customers.create(self.directory, self.ledger, [{"name": name, "currency": "CNY", **more}], ASKER)[0]

    def change(self, customer_id: str, **changes: Any) -> dict[str, Any]:
        return customers.change(self.directory, self.ledger, customer_id, changes, ASKER)


@pytest.fixture
def office(ledger_url: str) -> Iterator[Office]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Office(Directory(engine), ledger)
    ledger.close()
    engine.dispose()
