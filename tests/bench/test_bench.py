"""The benchmark itself works: every way can be loaded, measured and proved, and the results say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import batches, command_line, measure, posting
from bench.measure import Cell, Method, Sample
from bench.processes import LoadFailed, LoadProcess
from bench.report import spread, summary
from bench.server import MeasuredServer, measured_server
from bench.ways import is_installed
from servers import PrivateMariaDB

SHORT = Method(rounds=1, seconds=0.05, quiet_wait_s=0.0)


@pytest.fixture(autouse=True)
def no_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "WARM_UP_S", 0.0)


@pytest.fixture
def server(mariadb: PrivateMariaDB) -> MeasuredServer:
    return MeasuredServer(mariadb)


def ignore(_: str) -> None:
    """Show no progress."""


def test_every_installed_way_is_measured_and_its_books_are_proved(server: MeasuredServer) -> None:
    cell = Cell(name="smallest", ways=posting.WAYS, callers=2, accounts=3)

    result = summary(measure.measure(server, cell, SHORT, ignore))

    assert result["ways"]["ledger"]["proved"] > 0
    assert result["ways"]["ledger"]["round_trips"] == 2
    assert result["ways"]["orm"]["proved"] > 0
    assert result["ways"]["orm"]["ratio"]["median"] > 0
    assert "ratio" in result["ways"]["django"] or result["ways"]["django"] == {"missing": "not installed"}


def test_batches_are_compared_with_the_bare_insert_of_the_same_rows(server: MeasuredServer) -> None:
    cell = Cell(name="smallest", ways=("ledger", "raw", "orm"), accounts=2, batch=batches.SIZE)

    result = summary(measure.measure(server, cell, SHORT, ignore))

    assert all(figures["proved"] >= batches.SIZE for figures in result["ways"].values())
    assert result["ways"]["ledger"]["group"] == batches.SIZE


def test_callers_in_two_processes_share_one_log_without_gaps(server: MeasuredServer) -> None:
    cell = Cell(name="shared", ways=("ledger",), callers=2, processes=2, accounts=1)

    measured = measure.measure(server, cell, SHORT, ignore)

    (sample,) = measured.samples
    assert measured.proved["ledger"] >= sample.posts >= 2


def test_a_way_whose_package_is_missing_is_reported_and_the_others_measured(
    server: MeasuredServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "is_installed", lambda way: way != "django")

    measured = measure.measure(server, Cell(name="x", ways=("ledger", "django"), accounts=1), SHORT, ignore)

    assert measured.missing == {"django": "not installed"}
    assert {sample.way for sample in measured.samples} == {"ledger"}


def test_an_error_of_a_caller_fails_the_measurement(server: MeasuredServer) -> None:
    _, url = server.fresh_database()
    order = {"way": "orm", "url": url, "accounts": 1, "callers": 2, "batch": 1, "server_pid": server.pid}

    with pytest.raises(LoadFailed, match="orm"), LoadProcess(order) as load:
        load.ask("load", warm_until=0.0, seconds=0.01)


SAMPLE = Sample(
    way="ledger",
    round=1,
    posts=100,
    posts_per_s=100.0,
    wait_ms_p50=1.0,
    wait_ms_p99=2.0,
    python_us=1.0,
    server_us=1.0,
    others_cores=0.0,
    group=1.0,
    round_trips=2.0,
    load_average=[0.0, 0.0, 0.0],
)


def figures_of_orm(*samples: Sample) -> dict[str, Any]:
    cell = Cell(name="x", ways=("ledger", "orm"))
    result = summary(measure.Measured(cell, samples=list(samples), proved={"ledger": 1, "orm": 1}))
    figures: dict[str, Any] = result["ways"]["orm"]
    return figures


def test_ratios_are_made_within_a_round() -> None:
    figures = figures_of_orm(
        SAMPLE,
        replace(SAMPLE, way="orm", posts_per_s=50.0),
        replace(SAMPLE, round=2, posts_per_s=30.0),
        replace(SAMPLE, way="orm", round=2, posts_per_s=10.0),
    )

    assert figures["ratio"] == {"median": 2.5, "min": 2.0, "max": 3.0}
    assert figures["quiet_rounds"] == "2 of 2"


def test_a_round_with_neighbours_counts_only_when_there_is_no_quiet_one() -> None:
    noisy = replace(SAMPLE, others_cores=0.9, posts_per_s=10.0)
    orm = replace(SAMPLE, way="orm", posts_per_s=50.0)

    both = figures_of_orm(SAMPLE, orm, replace(noisy, round=2), replace(orm, round=2))
    alone = figures_of_orm(noisy, orm)

    assert both["ratio"]["max"] == both["ratio"]["median"] == 2.0 and both["quiet_rounds"] == "1 of 2"
    assert alone["ratio"]["median"] == 0.2 and alone["quiet_rounds"] == "0 of 1"


def test_a_spread_is_the_median_between_the_extremes() -> None:
    assert str(spread([3.0, 1.0, 200.0])) == "3.00 (1.00–200)"


def test_all_loads_divide_their_callers_evenly_and_name_known_ways() -> None:
    cells = [cell for part in command_line.PARTS.values() for cell in part()]

    assert all(cell.callers % cell.processes == 0 for cell in cells)
    assert len({cell.name for cell in cells}) == len(cells)
    assert all(is_installed(way) in (True, False) for cell in cells for way in cell.ways)


def test_the_command_writes_its_results_and_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command_line.PARTS, "posting", lambda: [Cell(name="smallest", ways=("ledger",), accounts=1)])
    output = tmp_path / "results" / "mine.json"

    result = CliRunner().invoke(
        command_line.main, ["--part", "posting", "--rounds", "1", "--seconds", "0.1", "--output", str(output)]
    )

    assert result.exit_code == 0, result.output
    assert "smallest" in result.output
    document = json.loads(output.read_text())
    assert [each["cell"]["name"] for each in document["cells"]] == ["smallest"]
    assert "MariaDB" in document["surroundings"]["mariadb"]


def test_the_measured_server_keeps_every_commit() -> None:
    with measured_server() as server:
        ((flushed, synced),) = server.query("SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog")

    assert (flushed, synced) == (1, 1)
