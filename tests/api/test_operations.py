"""Queues, workers and the check of settings, seen without disturbing any of them."""

from __future__ import annotations

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from directory_front import open_front
from projections.jobs import queue_name
from projections.wake import AGENT, wake
from servers import PrivateMariaDB
from till import Till


def test_queues_are_counted_and_stay_as_they_are(sqlite_till: Till) -> None:
    services = sqlite_till.front.services
    # What was committed so far wakes nobody any more.
    services.waker.close()
    client = services.queue_redis
    client.flushdb()
    wake(client, AGENT)
    before = {key: client.dump(key) for key in client.keys("rq:*")}

    found = sqlite_till.get("queues").json

    assert {each["target"]: each["waiting"] for each in found["queues"]} == {
        "agent": 1, "balances": 0, "orders": 0, "transactions": 0, "webhooks": 0,
    }  # fmt: skip
    assert found["workers"] == []
    assert {key: client.dump(key) for key in client.keys("rq:*")} == before
    assert Queue(queue_name(AGENT), connection=client, serializer=JSONSerializer).count == 1


def test_the_check_of_settings_says_what_is_unsafe_and_how_to_mend_it(till: Till) -> None:
    findings = {each["check"]: each for each in till.get("doctor").json["findings"]}

    # On one's own machine it is a warning.
    state = "warning" if till.front.services.engine.dialect.name == "sqlite" else "bad"
    assert findings["secret key"]["state"] == state and "ORDERLEDGER_SECRET_KEY" in findings["secret key"]["mend"]
    assert findings["schema"]["state"] == findings["database"]["state"] == findings["redis"]["state"] == "good"


@pytest.mark.parametrize("path", ["queues", "doctor"])
def test_only_who_may_sees_how_the_service_runs(sqlite_till: Till, path: str) -> None:
    assert sqlite_till.as_customer("orders.read", "operations.read").ask("GET", path).status_code == 403


def test_a_service_whose_database_would_lose_commits_is_not_ready(
    mariadb: PrivateMariaDB, mariadb_ledger_url: str, redis_url: str
) -> None:
    client = open_front(mariadb_ledger_url, redis_url).app.test_client()
    assert client.get("/readyz").status_code == 200

    mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit=2")
    try:
        found = client.get("/readyz")
    finally:
        mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit=1")

    assert found.status_code == 503
    assert "orderledger doctor" in found.json["checks"]["database"]["problem"]
