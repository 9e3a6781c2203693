"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent_office import Office
from executor_stub import ExecutorStub
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from submissions import Desk


@pytest.fixture
def stub() -> Iterator[ExecutorStub]:
    server = ExecutorStub()
    yield server
    server.close()


@pytest.fixture
def office(ledger_url: str, stub: ExecutorStub) -> Iterator[Office]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    desk = Desk(Ledger(engine, settings), engine)
    made = Office(
        desk=desk, stub=stub, account_id=desk.open(recharged_minor=10_000_000), product_settings={"url": stub.url}
    )
    yield made
    for runner in made.runners:
        runner.close()
    desk.ledger.close()
    engine.dispose()
