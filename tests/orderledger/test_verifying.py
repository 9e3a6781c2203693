"""The log is verified now and then by itself, and what came of it is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog

from ledger import schema
from ledger.append import Ledger
from ledger.audit.findings import Report
from ledger.audit.recording import Verification, latest_verification, record
from ledger.clock import now_us
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from orderledger.surroundings import complete
from orderledger.verifying import Verifier
from submissions import Desk

WAIT_S = 60.0
DAY_US = 86_400_000_000
CLEAN = Report(status="clean", events=1, first_bad_position=None, finding=None, checked=(), seconds=0.2)
TAMPERED = Report(status="tampered", events=1, first_bad_position=1, finding="forged", checked=(), seconds=0.2)


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


def recorded(desk: Desk) -> Verification | None:
    with desk.engine.connect() as connection:
        return latest_verification(connection)


def verified_by(verifier: Verifier, desk: Desk, *, after_us: int = 0) -> Verification:
    ends_at_s = time.monotonic() + WAIT_S
    while time.monotonic() < ends_at_s:
        verifier.look()
        found = recorded(desk)
        if found is not None and found.finished_at_us > after_us:
            return found
        time.sleep(0.1)
    raise AssertionError("nothing was recorded")


def test_a_log_is_verified_once_it_has_events_and_again_when_the_interval_is_over(desk: Desk, ledger_url: str) -> None:
    verifier = Verifier({"ORDERLEDGER_DATABASE_URL": ledger_url, "ORDERLEDGER_VERIFY_INTERVAL_S": "0.1"}, desk.engine)
    verifier.look()
    assert recorded(desk) is None

    account_id = desk.open(recharged_minor=100)
    first = verified_by(verifier, desk)
    with desk.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql(f"UPDATE accounts SET available_minor=5 WHERE account_id='{account_id}'")
    second = verified_by(verifier, desk, after_us=first.finished_at_us)
    verifier.close()

    assert (first.status, first.events, first.first_bad_position, first.finding) == ("clean", 2, None, None)
    assert (second.status, second.first_bad_position) == ("tampered", 2)
    assert second.finding is not None and account_id in second.finding


def test_a_log_that_was_verified_lately_is_left_alone(desk: Desk, ledger_url: str) -> None:
    desk.open()
    record(desk.engine, CLEAN)
    before = recorded(desk)

    for interval_s in ("3600", "0"):
        environment = {"ORDERLEDGER_DATABASE_URL": ledger_url, "ORDERLEDGER_VERIFY_INTERVAL_S": interval_s}
        verifier = Verifier(environment, desk.engine)
        verifier.look()
        time.sleep(0.5)
        verifier.look()
        verifier.close()

    assert before is not None and before.seconds == 1
    assert recorded(desk) == before


def test_a_verification_that_runs_ends_with_maintenance(desk: Desk, ledger_url: str) -> None:
    desk.open()
    verifier = Verifier({"ORDERLEDGER_DATABASE_URL": ledger_url}, desk.engine)
    verifier.look()

    began_s = time.monotonic()
    verifier.close()

    assert time.monotonic() - began_s < 5


def test_a_verification_that_ends_without_an_outcome_is_not_begun_again_at_once(desk: Desk) -> None:
    desk.open()
    unreadable = {"ORDERLEDGER_DATABASE_URL": "sqlite:////nowhere/at/all", "ORDERLEDGER_VERIFY_INTERVAL_S": "3600"}
    verifier = Verifier(unreadable, desk.engine)
    verifier.look()
    process = verifier._process
    assert process is not None and process.wait(WAIT_S) != 0

    for _ in range(3):
        verifier.look()

    assert verifier._process is None
    assert recorded(desk) is None


def test_a_log_whose_url_is_in_a_file_is_verified_too(
    desk: Desk, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "database-url").write_text(ledger_url + "\n")
    monkeypatch.setenv("ORDERLEDGER_DATABASE_URL_FILE", str(tmp_path / "database-url"))
    monkeypatch.setenv("ORDERLEDGER_DATA", str(tmp_path / "data"))
    desk.open()
    verifier = Verifier(complete(os.environ), desk.engine)

    found = verified_by(verifier, desk)
    verifier.close()

    assert (found.status, found.events) == ("clean", 1)


def said_of(desk: Desk, ledger_url: str, *, exit_code: int, **settings: str) -> str:
    """Have the log verified, and return why the log line says that it was not found clean."""
    environment = {"ORDERLEDGER_DATABASE_URL": ledger_url}
    verifier = Verifier(environment | {f"ORDERLEDGER_{name}": value for name, value in settings.items()}, desk.engine)
    verifier.look()
    process = verifier._process
    assert process is not None and process.wait(WAIT_S) == exit_code
    with structlog.testing.capture_logs() as said:
        verifier.look()
    verifier.close()
    assert [(each["event"], each["exit_code"]) for each in said] == [("log-not-verified", exit_code)]
    problem: str = said[0]["problem"]
    assert "\n" not in problem
    return problem


def test_what_was_found_and_where_is_told(desk: Desk, ledger_url: str) -> None:
    account_id = desk.open(recharged_minor=100)
    with desk.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql(f"UPDATE accounts SET available_minor=5 WHERE account_id='{account_id}'")

    said = said_of(desk, ledger_url, exit_code=1)

    found = recorded(desk)
    assert found is not None and found.finding is not None
    assert said == f"tampered: position 2: {found.finding}"


def test_why_nobody_can_tell_is_told_and_that_it_could_not_be_recorded(desk: Desk) -> None:
    desk.open()

    said = said_of(desk, "sqlite:////nowhere/at/all", exit_code=2)

    assert said.startswith("cannot tell: ") and "not recorded" in said


def test_why_an_audit_was_not_begun_is_told(desk: Desk, ledger_url: str) -> None:
    desk.open()

    said = said_of(desk, ledger_url, exit_code=2, STATEMENT_TIMEOUT_S="soon")

    assert "ORDERLEDGER_STATEMENT_TIMEOUT_S" in said


def recorded_ahead(desk: Desk, report: Report) -> int:
    """Record what an audit came to as on a machine whose clock is a day ahead; return the time."""
    record(desk.engine, report)
    with desk.engine.execution_options(write=True).begin() as connection:
        row = connection.execute(sa.select(schema.verifications)).mappings().one()
        ahead_us: int = row["finished_at_us"] + DAY_US
        connection.execute(sa.insert(schema.verifications).values({**row, "finished_at_us": ahead_us}))
    return ahead_us


def test_what_was_recorded_while_a_clock_was_ahead_does_not_hide_what_comes_later(desk: Desk) -> None:
    ahead_us = recorded_ahead(desk, TAMPERED)

    record(desk.engine, CLEAN)

    found = recorded(desk)
    assert found is not None
    assert (found.status, found.finished_at_us) == ("clean", ahead_us + 1)


def test_a_log_is_verified_once_when_the_last_time_was_while_a_clock_was_ahead(desk: Desk, ledger_url: str) -> None:
    desk.open()
    ahead_us = recorded_ahead(desk, TAMPERED)
    environment = {"ORDERLEDGER_DATABASE_URL": ledger_url, "ORDERLEDGER_VERIFY_INTERVAL_S": "3600"}
    verifier = Verifier(environment, desk.engine)

    found = verified_by(verifier, desk, after_us=ahead_us)
    process = verifier._process
    assert process is not None and process.wait(WAIT_S) == 0
    verifier.look()

    assert found.status == "clean" and found.finished_at_us > now_us()
    assert verifier._process is None, "another one would not say more"
