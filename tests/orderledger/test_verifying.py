"""The log is verified now and then by itself, and what came of it is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ledger.append import Ledger
from ledger.audit.findings import Report
from ledger.audit.recording import Verification, latest_verification, record
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from orderledger.verifying import Verifier
from submissions import Desk

WAIT_S = 60.0


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
    report = Report(status="clean", events=1, first_bad_position=None, finding=None, checked=(), seconds=0.2)
    record(desk.engine, report)
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
