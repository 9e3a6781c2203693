"""The figures at /metrics: what is counted where it happens, and the figures of all processes in one answer."""

from __future__ import annotations

import gc
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api.cancelling import leave_to_the_agent
from directory_front import GOOD, Front, open_front
from ledger.commands import CancelOrder
from ledger.errors import NothingRecorded
from ledger.figures import REGISTRY
from ledger.migrate import upgrade
from projections.redis_clients import open_redis
from projections.reporting import Reporter, Who
from servers import PrivateMariaDB
from submissions import submission
from till import Till

SCRAPE_S_MAX = 10.0
"""How long Prometheus waits unless it is told otherwise."""
NARROW = {"POOL_SIZE": "1", "POOL_MAX_OVERFLOW": "0", "POOL_TIMEOUT_S": "0.2"}
"""One connection to each database, and a short wait for it."""


def families(front: Front) -> dict[str, Metric]:
    answer = front.app.test_client().get("/metrics")
    assert answer.status_code == 200
    return {each.name: each for each in text_string_to_metric_families(answer.text)}


def value(front: Front, sample: str, **labels: str) -> float:
    """Return the sum of the samples that have at least these labels."""
    return sum(
        each.value
        for family in families(front).values()
        for each in family.samples
        if each.name == f"orderledger_{sample}" and labels.items() <= each.labels.items()
    )


def test_the_write_path_is_measured_for_each_command_and_group(sqlite_till: Till) -> None:
    front = sqlite_till.front
    # What a ledger of another test counted goes with it, whenever that is found to be garbage.
    gc.collect()
    names = ("group_commands_sum", "command_seconds_count", "command_wait_seconds_count", "commit_seconds_count")
    before = [value(front, name) for name in names]

    for _ in range(3):
        sqlite_till.recharge()

    assert [value(front, name) - was for name, was in zip(names, before, strict=True)] == [3, 3, 3, 3]
    assert 0 < value(front, "command_seconds_sum") < 60
    assert value(front, "commit_round_trips_total") >= 0


def test_what_is_refused_is_counted_by_its_code(sqlite_till: Till) -> None:
    before = value(sqlite_till.front, "commands_refused_total", code="insufficient-funds")

    sqlite_till.deduct("1.00")
    sqlite_till.deduct("1.00")

    assert value(sqlite_till.front, "commands_refused_total", code="insufficient-funds") - before == 2


def test_read_models_are_counted_as_they_are_applied(sqlite_till: Till) -> None:
    before = value(sqlite_till.front, "projection_events_applied_total", projection="balances")
    sqlite_till.recharge()
    assert value(sqlite_till.front, "projection_lag_events", projection="balances") == 2

    sqlite_till.drain()

    assert value(sqlite_till.front, "projection_events_applied_total", projection="balances") - before == 2
    assert value(sqlite_till.front, "projection_lag_events", projection="balances") == 0
    assert value(sqlite_till.front, "projection_stopped", projection="balances") == 0


def test_open_orders_are_counted_with_the_age_of_the_oldest(till: Till) -> None:
    till.recharge()
    till.place()
    till.place()
    time.sleep(0.05)

    assert value(till.front, "orders_open", status="placed") == 2
    assert 0.05 < value(till.front, "order_oldest_seconds", status="placed") < 60
    assert value(till.front, "orders_open", status="needs_review") == 0


def test_failed_logins_and_refused_tries_are_counted(sqlite_till: Till) -> None:
    client = sqlite_till.front.app.test_client()
    before = value(sqlite_till.front, "logins_failed_total", by="password")
    limited = value(sqlite_till.front, "limited_total", limit="login-at")

    for _ in range(11):
        client.post("/v1/session", json={"username": "nobody", "password": "wrong password"})

    assert value(sqlite_till.front, "logins_failed_total", by="password") - before == 10
    assert value(sqlite_till.front, "limited_total", limit="login-at") - limited == 1


def test_pools_are_shown_for_databases_and_redis(sqlite_till: Till) -> None:
    pools = {each.labels["pool"] for each in families(sqlite_till.front)["orderledger_pool_limit"].samples}

    assert pools == {"log", "directory", "redis", "queue-redis"}
    assert value(sqlite_till.front, "pool_limit", pool="log") >= 16
    before = value(sqlite_till.front, "pool_in_use", pool="log")
    with sqlite_till.front.services.engine.connect():
        assert value(sqlite_till.front, "pool_in_use", pool="log") == before + 1
    assert families(sqlite_till.front)["process_open_fds"].samples[0].value > 0


@pytest.fixture
def narrow(ledger_url: str, redis_url: str) -> Iterator[Front]:
    """An administrator's front with one connection in each pool, once on each engine."""
    front = open_front(ledger_url, redis_url, **NARROW)
    yield front
    front.services.close()


@pytest.mark.parametrize(
    ("pool", "method", "path"),
    [("log", "GET", "events"), ("directory", "GET", "levels"), ("directory", "POST", "levels")],
)
def test_a_wait_for_a_connection_in_vain_is_answered_in_time_and_counted(
    narrow: Front, pool: str, method: str, path: str
) -> None:
    services, client = narrow.services, narrow.app.test_client()
    engine = services.engine if pool == "log" else services.directory.engine
    request = {
        "method": method,
        "json": GOOD[path] if method == "POST" else None,
        "headers": {"Authorization": f"Bearer {narrow.secret}"},
    }
    before = value(narrow, "pool_timeouts_total")

    with engine.connect():
        began_s = time.monotonic()
        answer = client.open(f"/v1/{path}", **request)
        took_s = time.monotonic() - began_s

    assert (answer.status_code, answer.json["retryable"]) == (503, True)
    assert float(NARROW["POOL_TIMEOUT_S"]) <= took_s < 2
    assert value(narrow, "pool_timeouts_total") - before == 1
    assert client.open(f"/v1/{path}", **request).status_code in (200, 201)


def test_a_cancellation_that_no_connection_is_free_for_is_counted_too(narrow: Front) -> None:
    before = value(narrow, "pool_timeouts_total")

    with narrow.services.engine.connect(), pytest.raises(NothingRecorded):
        leave_to_the_agent(narrow.services, [submission(CancelOrder(order_id="ord_1"))])

    assert value(narrow, "pool_timeouts_total") - before == 1


def test_a_replicas_pool_is_shown_and_its_waits_in_vain_are_counted(
    sqlite_ledger_url: str, redis_url: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite"
    front = open_front(sqlite_ledger_url, redis_url, REPLICA_URLS=f"sqlite:///{copy}", **NARROW)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    replicas = front.services.replicas
    before = [value(front, name, pool="replica 1") for name in ("pool_limit", "pool_in_use")]
    waited = value(front, "pool_timeouts_total")

    within = replicas.read(lambda _: value(front, "pool_in_use", pool="replica 1"))
    primary = replicas.read(lambda _: replicas.read(lambda connection: connection.engine is front.services.engine))

    assert before[0] >= 1 and within == before[1] + 1
    assert primary and value(front, "pool_timeouts_total") - waited == 1
    front.services.close()


@pytest.fixture
def reporters(sqlite_till: Till, redis_url: str) -> Iterator[list[Reporter]]:
    """An API process, and a worker's report beside it."""
    services = sqlite_till.front.services
    services.report()
    other = Reporter(open_redis(redis_url), Who(role="agent", process="elsewhere:7"), [REGISTRY], 0.2)
    assert services.metrics.reporter is not None
    yield [services.metrics.reporter, other]
    other.close()
    services.metrics.reporter.close()


def test_one_scrape_shows_every_process_and_forgets_those_that_ended(
    sqlite_till: Till, reporters: list[Reporter]
) -> None:
    own, other = reporters
    other.report()

    roles = {each.labels["role"] for each in families(sqlite_till.front)["process_open_fds"].samples}
    assert roles == {"api", "agent"}
    assert value(sqlite_till.front, "requests_total", process=own.who.process) > 0
    shared = families(sqlite_till.front)["orderledger_projection_lag_events"].samples
    assert all(set(each.labels) == {"projection"} for each in shared), "what is shared belongs to no process"

    other.close()
    time.sleep(0.2 * 4 + 0.2)

    assert {each.labels["role"] for each in families(sqlite_till.front)["process_open_fds"].samples} == {"api"}


def test_without_redis_the_process_shows_its_own_figures(sqlite_till: Till, reporters: list[Reporter]) -> None:
    services = sqlite_till.front.services
    client, services.redis = services.redis, open_redis("redis://127.0.0.1:1/0")
    reporters[0]._client = services.redis

    assert value(sqlite_till.front, "redis_up") == 0
    assert value(sqlite_till.front, "database_up") == 1
    assert "orderledger_projection_lag_events" not in families(sqlite_till.front)
    services.redis = client


def test_a_database_that_hangs_is_told_before_whoever_scrapes_gives_up(redis_url: str) -> None:
    with PrivateMariaDB() as server:
        url = server.create_database("ledger")
        upgrade(url)
        front = open_front(url, redis_url)
        assert value(front, "database_up") == 1

        server.pause()
        try:
            began_s = time.monotonic()
            shown = families(front)
            took_s = time.monotonic() - began_s
        finally:
            server.resume()
        front.services.close()

    assert took_s < SCRAPE_S_MAX
    assert [shown[f"orderledger_{name}_up"].samples[0].value for name in ("database", "redis")] == [0, 1]
    assert not shown.keys() & {"orderledger_log_head", "orderledger_orders_open", "orderledger_webhooks"}


def test_a_figure_never_has_an_id_or_a_path_of_a_request_in_its_labels(sqlite_till: Till) -> None:
    client = sqlite_till.front.app.test_client()
    client.get("/v1/no/such/path")
    client.get(f"/v1/customers/{sqlite_till.customer_id}")
    sqlite_till.recharge()

    text = client.get("/metrics").text

    assert sqlite_till.customer_id not in text and "/v1" not in text
    assert re.search(r'orderledger_requests_total\{route="none",status="404"\}', text)
