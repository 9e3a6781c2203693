"""The measurements over HTTP work: every way is served, loaded and proved, by wrk and by our own client."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from bench.http import load
from bench.http.cells import HttpCell
from bench.http.streams import StreamCell
from bench.method import Method
from bench.report import summary
from bench.server import MeasuredServer, Servers
from servers import PrivateMariaDB, PrivateRedis

SHORT = Method(rounds=1, seconds=0.4, quiet_wait_s=0.0)


@pytest.fixture
def servers(mariadb: PrivateMariaDB, redis_server: PrivateRedis) -> Servers:
    found = Servers(ExitStack())
    found.mariadb = MeasuredServer(mariadb)
    found.redis = redis_server
    return found


def ignore(_: str) -> None:
    """Show no progress."""


def test_every_way_is_served_loaded_and_proved(servers: Servers) -> None:
    ways = ("ledger", "validation", "django", "orm")
    cell = HttpCell(name="smallest", ways=ways, connections=2, accounts=3)

    found = summary("part", cell.measure(servers, SHORT, ignore))["ways"]

    for way in set(ways) - {"django"} | ({"django"} if "missing" not in found["django"] else set()):
        assert found[way]["per_s"]["median"] > 0 and found[way]["p99_ms"]["median"] > 0
        assert set(found[way]["cpu_us"]) == {"server", "mariadbd", "client"}
    assert found["ledger"]["proved"] > 0 and found["orm"]["proved"] > 0


@pytest.mark.parametrize("kind", ["mixed", "batch"])
def test_mixed_commands_and_batches_are_proved(servers: Servers, kind: str) -> None:
    size = 10 if kind == "batch" else 1
    cell = HttpCell(name=kind, ways=("ledger",), kind=kind, connections=2, size=size, accounts=3)

    found = summary("part", cell.measure(servers, SHORT, ignore))["ways"]["ledger"]

    assert found["proved"] >= size


@pytest.mark.skipif(load.wrk() is None, reason="wrk is not installed")
def test_wrk_sends_what_our_own_client_sends(servers: Servers) -> None:
    long = Method(rounds=1, seconds=load.WRK_S_MIN, quiet_wait_s=0.0)
    cell = HttpCell(name="mixed by wrk", ways=("ledger",), kind="mixed", connections=2, accounts=3)

    assert cell.measure(servers, long, ignore).proved["ledger"] > 0


@pytest.mark.parametrize("kind", ["ndjson", "import"])
def test_a_stream_is_measured_with_its_memory_and_proved(servers: Servers, kind: str) -> None:
    measured = StreamCell(name=kind, kind=kind, commands=2_500, accounts=3).measure(servers, SHORT, ignore)

    assert measured.proved == {"ledger": 2_500} and measured.size == 2_500
    assert measured.samples[0].seen.more


def test_what_is_left_out_of_the_quick_form_says_so(servers: Servers) -> None:
    quick = Method(rounds=1, seconds=0.2, quiet_wait_s=0.0, quick=True)

    assert HttpCell(name="x", ways=("ledger",)).measure(servers, quick, ignore).missing
    assert StreamCell(name="x", kind="ndjson", commands=1).measure(servers, quick, ignore).missing
