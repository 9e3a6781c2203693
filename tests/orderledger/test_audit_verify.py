"""The verdict of an audit is told and is the exit code, whether or not it could be recorded."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result

from ledger.audit.recording import latest_verification
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from processes import are_gone, children_of

Run = Callable[..., Result]
ROOT = Path(__file__).parents[2]
BEGUN_S_MAX = 60.0
END_S_MAX = 5.0


@pytest.fixture
def engine(sqlite_ledger_url: str, run: Run) -> Iterator[sa.Engine]:
    """The database's administrator; the demonstration data are there."""
    engine = open_engine(sqlite_ledger_url, LedgerSettings())
    yield engine
    engine.dispose()


def change(engine: sa.Engine, *statements: str) -> None:
    with engine.execution_options(write=True).begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_verdict_on_bytes_that_are_no_text_is_told_and_recorded(run: Run, engine: sa.Engine) -> None:
    change(engine, "UPDATE orders SET reference=X'FF'")

    told = run("verify", "--record", "--workers", "1")

    assert told.exit_code == 1 and told.stdout.startswith("tampered: "), told.output
    with engine.connect() as connection:
        recorded = latest_verification(connection)
    assert recorded is not None and recorded.status == "tampered"


def test_a_verdict_that_cannot_be_recorded_is_told_all_the_same(run: Run, engine: sa.Engine) -> None:
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON verifications BEGIN SELECT RAISE(ABORT, 'read only'); END"
    change(engine, refuse, "UPDATE orders SET quantity=quantity+1")

    told = run("verify", "--record", "--workers", "1")

    assert told.exit_code == 1 and told.stdout.startswith("tampered: "), told.output
    assert "not recorded" in told.stderr and "read only" in told.stderr


@pytest.mark.parametrize("database", ["mysql+pymysql://nobody@127.0.0.1:1/nothing", "sqlite:////nowhere/at/all"])
def test_an_audit_of_a_database_that_is_away_cannot_tell(
    run: Run, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.setenv("ORDERLEDGER_DATABASE_URL", database)

    told = run("verify", "--record", "--workers", "1")

    assert told.exit_code == 2 and told.stdout.startswith("cannot tell: "), told.output
    assert "not recorded" in told.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_of_an_audit_that_is_ended_end_with_it(tmp_path: Path, how: signal.Signals) -> None:
    # A server that takes connections and says nothing: the audit waits for it, and its processes for the audit.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            "ORDERLEDGER_DATABASE_URL": f"mysql+pymysql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing",
            "ORDERLEDGER_CONNECT_TIMEOUT_S": "60",
            "ORDERLEDGER_DATA": str(tmp_path),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "orderledger", "audit", "verify", "--workers", "2"]
        audit = subprocess.Popen(command, env={**os.environ, **environment})
        ends_at_s = time.monotonic() + BEGUN_S_MAX
        while len(children := children_of(audit.pid)) < 2 and time.monotonic() < ends_at_s:
            time.sleep(0.05)

        audit.send_signal(how)
        audit.wait(END_S_MAX)

        assert len(children) == 2
        assert are_gone(children)
