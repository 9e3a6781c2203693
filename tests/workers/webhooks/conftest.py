"""Fixtures of the tests of webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hook_receiver import HookReceiver
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings
from post_office import PostOffice
from submissions import Desk


@pytest.fixture
def receiver() -> Iterator[HookReceiver]:
    server = HookReceiver()
    yield server
    server.close()


def opened(url: str, receiver: HookReceiver) -> Iterator[PostOffice]:
    settings = LedgerSettings()
    engine = open_engine(url, settings)
    desk = Desk(Ledger(engine, settings), engine)
    made = PostOffice(desk=desk, directory=Directory(engine), receiver=receiver)
    yield made
    for courier in made.couriers:
        courier.close()
    desk.ledger.close()
    engine.dispose()


@pytest.fixture
def office(ledger_url: str, receiver: HookReceiver) -> Iterator[PostOffice]:
    """A post office, once on each engine."""
    yield from opened(ledger_url, receiver)


@pytest.fixture
def sqlite_office(sqlite_ledger_url: str, receiver: HookReceiver) -> Iterator[PostOffice]:
    """A post office on SQLite."""
    yield from opened(sqlite_ledger_url, receiver)


@pytest.fixture
def mariadb_office(mariadb_ledger_url: str, receiver: HookReceiver) -> Iterator[PostOffice]:
    """A post office on MariaDB."""
    yield from opened(mariadb_ledger_url, receiver)
