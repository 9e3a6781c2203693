"""The agent's part of the benchmark: each way executes every order once, and a lie in the books is found."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.agent_ways import ExecutorServer
from bench.method import Method
from bench.parts import agent
from bench.parts.agent import COMMANDS, ONE_BY_ONE, AgentCell
from bench.report import summary
from bench.server import MeasuredServer, Servers
from servers import PrivateMariaDB, PrivateRedis

SHORT = Method(rounds=1, seconds=0.2, quiet_wait_s=0.0)


@pytest.fixture
def servers(mariadb: PrivateMariaDB, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> Servers:
    monkeypatch.setattr(agent, "WARM_UP_ORDERS", 2)
    found = Servers(ExitStack())
    found.mariadb = MeasuredServer(mariadb)
    found.redis = redis_server
    return found


@pytest.fixture
def executor() -> Iterator[ExecutorServer]:
    server = ExecutorServer(latency_ms=0)
    yield server
    server.close()


@pytest.mark.parametrize("executor_name", ["simulated", "http"])
def test_every_way_executes_all_orders_once(servers: Servers, executor_name: str) -> None:
    cell = AgentCell(executor=executor_name, orders=20)

    result = summary("agent", cell.measure(servers, SHORT, lambda _: None))

    assert (result["axis"], result["size"]) == ("orders", 20)
    assert result["ways"]["ledger"]["proved"] == result["ways"][COMMANDS]["proved"] == 22
    assert 0 < result["ways"][ONE_BY_ONE]["proved"] <= 22
    assert result["ways"][ONE_BY_ONE]["more"]["events_per_commit"]["median"] == 1
    assert set(result["ways"]["ledger"]["cpu_us"]) >= {"python", "mariadbd"}


def test_a_load_that_is_too_large_for_the_quick_form_is_left_out(servers: Servers) -> None:
    quick = Method(rounds=1, seconds=0.2, quiet_wait_s=0.0, quick=True)

    measured = AgentCell(executor="simulated", orders=100_000).measure(servers, quick, lambda _: None)

    assert measured.samples == []
    assert set(measured.missing) == set(measured.ways)


def test_the_executor_keeps_a_book_of_effects_repeats_and_what_was_wrong(executor: ExecutorServer) -> None:
    body = b'{"order_id": "ord_1", "quantity": 3, "amount": "0.30"}'
    for key, sent in (("ord_1", body), ("ord_1", body), ("ord_1", body + b" "), ("ord_2", body)):
        request = urllib.request.Request(executor.url, sent, {"Idempotency-Key": key})
        assert urllib.request.urlopen(request, timeout=5).status == 200

    book = executor.book()

    assert (book["orders"], book["calls"], book["repeats"], book["amount"]) == (2, 4, 2, "0.60")
    assert book["wrong"] == 2  # A repeat with another body, and a key that is not the order's id.
