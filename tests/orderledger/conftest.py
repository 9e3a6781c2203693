"""Commands of an audit on a ledger with the demonstration data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ledger.database import open_engine
from ledger.settings import LedgerSettings
from orderledger import demo
from orderledger.command_line import group

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, sqlite_ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a ledger with the demonstration data."""
    for name, value in (("DATABASE_URL", sqlite_ledger_url), ("DATA", str(tmp_path / "data"))):
        monkeypatch.setenv(f"ORDERLEDGER_{name}", value)
    demo.fill({"ORDERLEDGER_DATABASE_URL": sqlite_ledger_url}, lambda said: None)
    return lambda *arguments: CliRunner().invoke(group, ["audit", *arguments])


@pytest.fixture
def customers(sqlite_ledger_url: str, run: Run) -> Mapping[str, str]:
    """Name to id."""
    engine = open_engine(sqlite_ledger_url, LedgerSettings())
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT name, id FROM customers").all()
    engine.dispose()
    return {row[0]: row[1] for row in found}
