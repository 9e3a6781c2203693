"""A sealed log with every kind of event, on each engine, of which archives are made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from sealed_books import Books
from submissions import Desk


@pytest.fixture
def books(ledger_url: str, tmp_path: Path) -> Iterator[Books]:
    yield from _books(ledger_url, tmp_path)


@pytest.fixture
def sqlite_books(sqlite_ledger_url: str, tmp_path: Path) -> Iterator[Books]:
    """The same on SQLite only, for what no engine changes."""
    yield from _books(sqlite_ledger_url, tmp_path)


@pytest.fixture
def other_books(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Books]:
    """Another log, on SQLite."""
    folder = tmp_path / "other"
    folder.mkdir()
    shutil.copyfile(migrated_sqlite, folder / "ledger.sqlite")
    yield from _books(f"sqlite:///{folder / 'ledger.sqlite'}", folder)


def _books(url: str, folder: Path) -> Iterator[Books]:
    settings = LedgerSettings()
    engine = open_engine(url, settings)
    ledger = Ledger(engine, settings)
    yield Books(Desk(ledger, engine), url, folder)
    ledger.close()
    engine.dispose()
