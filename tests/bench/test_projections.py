"""The measurements of the read models work at a small size, and prove what they measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import projections
from bench.lag import Watch
from bench.method import Method
from bench.projections import ProjectionCell, ReadingCell
from bench.report import summary
from bench.server import Servers, measured_servers

SHORT = Method(rounds=1, seconds=0.05, quiet_wait_s=0.0, quick=True)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with measured_servers() as found:
        yield found


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "LOG_EVENTS_QUICK", 2_000)


def ignore(_: str) -> None:
    """Show no progress."""


@pytest.mark.parametrize("name", ["balances", "orders", "transactions"])
@pytest.mark.parametrize("reads", [False, True])
def test_a_read_model_is_measured_beside_a_pipeline(servers: Servers, name: str, *, reads: bool) -> None:
    cell = ProjectionCell(name="smallest", projection=name, events=2_000, reads=reads)

    result = summary("part", cell.measure(servers, SHORT, ignore))

    assert result["ways"]["ledger"]["proved"] == result["ways"]["pipeline"]["proved"] == 2_000
    assert result["ways"]["pipeline"]["ratio"]["median"] > 0
    assert len(result["ways"]["ledger"]["more"]) == 1


def test_reading_is_measured_for_itself(servers: Servers) -> None:
    result = summary("part", ReadingCell(name="read", events=2_000).measure(servers, SHORT, ignore))

    assert result["ways"]["columns"]["ratio"]["median"] > 0


def test_what_takes_long_is_left_out_of_the_quick_form(servers: Servers) -> None:
    cell = ProjectionCell(name="large", projection="orders", events=1_000_000, ways=("ledger",), axis="events")

    assert summary("part", cell.measure(servers, SHORT, ignore))["ways"]["ledger"] == {"missing": "left out when quick"}


def test_the_lag_of_an_event_ends_when_a_checkpoint_at_or_beyond_it_is_seen(redis_url: str) -> None:
    watch = Watch(redis_url, "orders")
    watch._seen = [(10, 1_000), (12, 3_000)]

    assert watch.lags_us(10, [500, 900, 2_500]) == [500, 2_100, 500]
