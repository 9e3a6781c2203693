"""Reads of the past from replicas: copies of the log that are as old as the last time they were taken."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from directory_front import open_front
from ledger.database import open_reading_engine
from ledger.log import head
from ledger.settings import LedgerSettings
from till import Till, open_till

SOON = {"REPLICA_RETRY_S": "0.2", "MIN_POSITION_WAIT_S": "0.4"}


@dataclass(frozen=True, slots=True)
class Copied:
    """A till whose history is read from copies, each brought up to date by hand."""

    till: Till
    log: Path
    copies: list[Path]

    def copy(self, number: int = 0) -> int:
        """Bring a copy up to the log; return its position."""
        with sqlite3.connect(self.log) as source, sqlite3.connect(self.copies[number]) as target:
            source.backup(target)
        return self.position()

    def position(self) -> int:
        """Return the end of the log itself."""
        with self.till.front.services.engine.connect() as connection:
            return head(connection).position

    def reflected(self, path: str, **headers: str) -> int:
        answer = self.till.get(path, **headers)
        assert answer.status_code == 200, answer.text
        return int(answer.headers["Ledger-Position"])


@pytest.fixture
def copied(sqlite_ledger_url: str, redis_url: str, tmp_path: Path) -> Iterator[Copied]:
    """A till with two copies, both as old as its first recharge and order."""
    copies = [tmp_path / f"copy-{number}.sqlite" for number in (1, 2)]
    urls = ",".join(f"sqlite:///{path}" for path in copies)
    front = open_front(sqlite_ledger_url, redis_url, REPLICA_URLS=urls, **SOON)
    made = Copied(open_till(front), tmp_path / "ledger.sqlite", copies)
    made.till.recharge("100.00")
    for number in (0, 1):
        made.copy(number)
    yield made
    front.services.close()


def test_history_is_read_from_a_replica_and_says_how_old_it_is(copied: Copied) -> None:
    order_id = copied.till.place(10).json["order"]["id"]
    old = copied.copy(0)
    copied.copy(1)

    copied.till.recharge("1.00")
    customer = f"customers/{copied.till.customer_id}"

    for path in (
        "events",
        "events?format=ndjson",
        "events/1",
        f"orders/{order_id}",
        f"{customer}/statement",
        f"{customer}/balance?at_position=2",
        "trial-balance",
        "log/export",
    ):
        assert copied.reflected(path) == old, path
    found = copied.till.front.ask("POST", "what-if", {"discounts": [{"from_percent": "90", "to_percent": "80"}]})
    assert found.json["position"] == old


def test_decisions_outcomes_and_balances_of_now_are_the_primarys(copied: Copied) -> None:
    newest = copied.till.recharge("1.00", key="twice").json["position"]

    again = copied.till.recharge("1.00", key="twice")
    balance = copied.till.get(f"customers/{copied.till.customer_id}/balance")
    stored = copied.till.get("commands/twice")
    status = copied.till.get("log/status")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert balance.json["available"] == "101.00"
    assert [int(each.headers["Ledger-Position"]) for each in (again, balance, stored, status)] == [newest] * 4


def test_what_a_replica_does_not_have_yet_is_looked_for_at_the_primary(copied: Copied) -> None:
    order_id = copied.till.place(10).json["order"]["id"]
    newest = copied.position()

    assert copied.reflected(f"orders/{order_id}") == newest
    assert copied.reflected(f"events/{newest}") == newest
    assert copied.reflected(f"customers/{copied.till.customer_id}/balance?at_position={newest}") == newest
    assert copied.reflected(f"trial-balance?at_position={newest}") == newest
    assert copied.reflected(f"log/export?to={newest}") == newest
    assert copied.till.get("orders/ord_none").status_code == 404


def test_a_feed_asked_for_what_comes_after_a_replicas_end_does_not_say_that_there_is_nothing(copied: Copied) -> None:
    old = copied.position()
    copied.till.recharge("1.00")
    copied.till.recharge("2.00")

    beyond = copied.till.get(f"events?after={old + 1}")
    at_its_end = copied.till.get(f"events?after={old}")

    assert [each["position"] for each in beyond.json["data"]] == [old + 2]
    assert (at_its_end.json["data"], at_its_end.headers["Ledger-Position"]) == ([], str(old))


def test_a_time_that_a_replica_is_not_beyond_is_answered_by_the_primary(copied: Copied) -> None:
    before = copied.till.get("events").json["data"][-1]["recorded_at"]
    old = copied.position()
    recorded_at = copied.till.recharge("1.00").json["recorded_at"]
    copied.till.recharge("1.00")
    customer = f"customers/{copied.till.customer_id}"

    balance = copied.till.get(f"{customer}/balance?as_of={recorded_at}")
    statement = copied.till.get(f"{customer}/statement?to={recorded_at}")
    first = copied.till.get("events/1").json["recorded_at"]

    assert balance.json["available"] == "101.00"
    assert statement.json["closing"] == "101.00"
    assert copied.reflected(f"{customer}/statement?to={before}") == old + 2
    assert copied.reflected(f"{customer}/balance?as_of={first}") == old


def test_a_minimum_position_is_waited_for_and_then_read_from_the_primary(copied: Copied) -> None:
    newest = copied.till.recharge("1.00").json["position"]

    began_s = time.monotonic()
    answer = copied.till.get("events?limit=200", Ledger_Min_Position=str(newest))
    took_s = time.monotonic() - began_s

    assert (answer.json["data"][-1]["position"], answer.headers["Ledger-Position"]) == (newest, str(newest))
    assert float(SOON["MIN_POSITION_WAIT_S"]) <= took_s < 5 * float(SOON["MIN_POSITION_WAIT_S"])

    copied.copy(1)
    began_s = time.monotonic()
    assert copied.reflected("trial-balance", Ledger_Min_Position=str(newest)) == newest
    assert time.monotonic() - began_s < float(SOON["MIN_POSITION_WAIT_S"])


def test_nobody_is_sent_to_a_replica_of_another_log(copied: Copied) -> None:
    for path in copied.copies:
        _forge(path)
    newest = copied.till.recharge("1.00").json["position"]
    time.sleep(1.1)

    reflected = copied.reflected("events")
    states = copied.till.front.services.replicas.states()

    assert reflected == newest
    assert [each.problem for each in states] == ["holds another log"] * 2


def test_a_replica_that_lags_too_far_is_left_alone(sqlite_ledger_url: str, redis_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    settings = {"REPLICA_URLS": f"sqlite:///{copy}", "REPLICA_LAG_S_MAX": "0.3", **SOON}
    front = open_front(sqlite_ledger_url, redis_url, **settings)
    late = Copied(open_till(front), tmp_path / "ledger.sqlite", [copy])
    old = late.copy()
    newest = late.till.recharge("1.00").json["position"]

    at_first = late.reflected("events")
    time.sleep(1.4)
    later = late.reflected("events")
    (state,) = front.services.replicas.states()
    late.copy()
    time.sleep(1.1)
    (again,) = front.services.replicas.states()

    assert (at_first, later) == (old, newest)
    assert (state.problem, state.lag_events) == ("is too far behind", 1)
    assert state.lag_s is not None and state.lag_s >= 0.3
    assert (again.problem, again.lag_events, again.position) == (None, 0, newest)
    front.services.close()


def test_without_any_replica_that_answers_the_primary_does(copied: Copied) -> None:
    for path in copied.copies:
        path.write_bytes(b"no database" * 1000)
    newest = copied.till.recharge("1.00").json["position"]

    assert copied.reflected("events") == newest

    for number, path in enumerate(copied.copies):
        path.unlink()
        copied.copy(number)
    copied.till.recharge("1.00")
    time.sleep(1.3)

    assert copied.reflected("events") == newest


def test_a_client_that_pages_over_replicas_of_different_age_skips_nothing(copied: Copied) -> None:
    for _ in range(6):
        copied.till.recharge("1.00")
    copied.copy(1)
    for _ in range(3):
        copied.till.recharge("1.00")
    newest = copied.position()

    seen: list[int] = []
    for _ in range(40):
        answer = copied.till.get(f"events?limit=2&after={seen[-1] if seen else 0}")
        seen += [each["position"] for each in answer.json["data"]]
        if seen[-1] == copied.position():
            break
        if not answer.json["data"]:
            # At the end of the younger copy: it goes on as soon as that one does.
            copied.copy(1)

    assert seen == list(range(1, newest + 1))


def test_readiness_names_each_replica_with_its_lag(copied: Copied) -> None:
    copied.till.recharge("1.00")
    copied.copies[1].write_bytes(b"no database" * 1000)

    answer = copied.till.front.app.test_client().get("/readyz")
    first, second = answer.json["replicas"]

    assert answer.status_code == 200
    assert (first["name"], first["lag_events"], first["problem"]) == ("replica 1", 1, None)
    assert 0 < first["lag_s"] < 60
    assert (second["name"], second["lag_events"], second["problem"]) == ("replica 2", None, "cannot be read")
    assert "sqlite" not in answer.text.replace("replicas", "")


@pytest.mark.parametrize("engine", ["sqlite", "mariadb"])
def test_a_replica_cannot_be_written_to(engine: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{engine}_ledger_url")

    reading = open_reading_engine(url, LedgerSettings())

    with pytest.raises(sa.exc.OperationalError), reading.begin() as connection:
        connection.exec_driver_sql("UPDATE log_head SET position=7")
    reading.dispose()


def _forge(path: Path) -> None:
    with sqlite3.connect(path) as copy:
        triggers = [row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]
        for name in triggers:
            copy.execute(f"DROP TRIGGER {name}")
        copy.execute("UPDATE events SET leaf_hash=zeroblob(32)")
