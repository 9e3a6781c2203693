"""The benchmark itself works: every way can be loaded, measured and proved, and the results say so."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import command_line, posting, searching
from bench.aims import AIMS, Aim, verdict
from bench.ledger_way import LedgerWay
from bench.method import Measured, Method, Observation, Sample
from bench.parts import batches
from bench.parts.posting import APPENDED, PROMISES, WAYS
from bench.parts.search import KINDS, any_combination
from bench.posting import POSTS_BEFORE, PostingCell
from bench.processes import LoadFailed, LoadProcess
from bench.report import spread, summary
from bench.searching import SearchCell, Shops
from bench.server import MeasuredServer, Servers, measured_servers
from bench.ways import is_installed
from servers import PrivateMariaDB, PrivateRedis

SHORT = Method(rounds=1, seconds=0.05, quiet_wait_s=0.0)


@pytest.fixture(autouse=True)
def no_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "WARM_UP_S", 0.0)


@pytest.fixture
def server(mariadb: PrivateMariaDB) -> MeasuredServer:
    return MeasuredServer(mariadb)


@pytest.fixture
def servers(server: MeasuredServer) -> Servers:
    found = Servers(ExitStack())
    found.mariadb = server
    return found


def ignore(_: str) -> None:
    """Show no progress."""


def test_every_installed_way_is_measured_and_its_books_are_proved(servers: Servers) -> None:
    cell = PostingCell(name="smallest", ways=APPENDED, callers=2, accounts=3)

    result = summary("part", cell.measure(servers, SHORT, ignore))

    assert result["ways"]["ledger"]["proved"] > 0
    assert result["ways"]["ledger"]["more"]["trips"]["median"] == 2
    assert result["ways"]["orm"]["proved"] > 0
    assert result["ways"]["orm"]["ratio"]["median"] > 0
    for way in ("django", "eventsourcing"):
        assert "ratio" in result["ways"][way] or result["ways"][way] == {"missing": "not installed"}


def test_batches_are_compared_with_the_bare_insert_of_the_same_rows(servers: Servers) -> None:
    cell = PostingCell(name="smallest", ways=("ledger", "raw", "orm"), accounts=2, batch=batches.SIZE)

    result = summary("part", cell.measure(servers, SHORT, ignore))

    assert all(figures["proved"] >= batches.SIZE for figures in result["ways"].values())
    assert result["ways"]["ledger"]["more"]["group"]["median"] == batches.SIZE


def test_every_way_posts_the_mixed_load_and_its_books_are_proved(servers: Servers) -> None:
    cell = PostingCell(name="mixed", ways=WAYS, callers=2, accounts=3, mixed=True)

    result = summary("part", cell.measure(servers, replace(SHORT, seconds=0.3), ignore))

    assert result["ways"]["ledger"]["proved"] > 0
    assert result["ways"]["orm"]["proved"] > 0


def test_a_ledger_without_its_promises_keeps_its_balances(servers: Servers) -> None:
    cell = PostingCell(name="promises", ways=PROMISES, callers=2, accounts=3)

    result = summary("part", cell.measure(servers, SHORT, ignore))

    assert result["ways"]["bare ledger"]["proved"] > 0
    assert result["ways"]["bare ledger"]["more"]["trips"]["median"] == 2


def test_what_was_posted_before_the_clock_ran_is_in_the_books_too(servers: Servers) -> None:
    cell = PostingCell(name="to 20", ways=("ledger",), callers=2, accounts=3, log=20, axis=POSTS_BEFORE)

    measured = cell.measure(servers, SHORT, ignore)

    assert (measured.axis, measured.size) == ("posts before", 20)
    assert measured.proved["ledger"] >= 20 + sum(each.seen.operations for each in measured.samples)


def test_callers_in_two_processes_share_one_log_without_gaps(servers: Servers) -> None:
    cell = PostingCell(name="shared", ways=("ledger",), callers=2, processes=2, accounts=1)

    measured = cell.measure(servers, SHORT, ignore)

    (sample,) = measured.samples
    assert measured.proved["ledger"] >= sample.seen.operations >= 2


def test_a_way_whose_package_is_missing_is_reported_and_the_others_measured(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "is_installed", lambda way: way != "django")

    measured = PostingCell(name="x", ways=("ledger", "django"), accounts=1).measure(servers, SHORT, ignore)

    assert measured.missing == {"django": "not installed"}
    assert {sample.way for sample in measured.samples} == {"ledger"}


def test_an_error_of_a_caller_fails_the_measurement(server: MeasuredServer) -> None:
    _, url = server.fresh_database()
    order = {"way": "orm", "url": url, "accounts": 1, "callers": 2, "batch": 1, "server_pid": server.pid}

    with pytest.raises(LoadFailed, match="orm"), LoadProcess(order) as load:
        load.ask("load", warm_until=0.0, seconds=0.01)


def sample(way: str = "ledger", *, round: int = 1, per_s: float = 100.0, others_cores: float = 0.0) -> Sample:
    seen = Observation(operations=100, per_s=per_s, others_cores=others_cores, more={"group": 4.0})
    return Sample(way=way, round=round, seen=seen)


def summary_of(*samples: Sample) -> dict[str, Any]:
    return summary("part", Measured(name="x", ways=("ledger", "orm"), samples=list(samples)))


def figures_of_orm(*samples: Sample) -> dict[str, Any]:
    figures: dict[str, Any] = summary_of(*samples)["ways"]["orm"]
    return figures


def test_ratios_are_made_within_a_round() -> None:
    figures = figures_of_orm(
        sample(), sample("orm", per_s=50.0), sample(round=2, per_s=30.0), sample("orm", round=2, per_s=10.0)
    )

    assert figures["ratio"] == {"median": 2.5, "min": 2.0, "max": 3.0}
    assert figures["quiet_rounds"] == "2 of 2"


def test_a_round_with_neighbours_counts_only_when_there_is_no_quiet_one() -> None:
    noisy = sample(round=2, per_s=10.0, others_cores=0.9)

    both = figures_of_orm(sample(), sample("orm", per_s=50.0), noisy, sample("orm", round=2, per_s=50.0))
    alone = figures_of_orm(replace(noisy, round=1), sample("orm", per_s=50.0))

    assert both["ratio"]["max"] == both["ratio"]["median"] == 2.0 and both["quiet_rounds"] == "1 of 2"
    assert alone["ratio"]["median"] == 0.2 and alone["quiet_rounds"] == "0 of 1"


def test_an_aim_is_judged_by_the_figure_it_names_and_by_nothing_when_that_was_not_measured() -> None:
    run = [summary_of(sample(per_s=100.0), sample("orm", per_s=50.0))]

    reached = verdict(Aim(text="", cell="x", way="orm", at_least=2.0), run)
    missed = verdict(Aim(text="", cell="x", way="ledger", figure="group", at_most=3.0), run)
    unknown = verdict(Aim(text="", cell="y", way="orm", at_least=2.0), run)

    assert reached is not None and reached.is_reached and reached.value == 2.0
    assert missed is not None and not missed.is_reached and missed.value == 4.0
    assert unknown is None


def test_every_aim_names_a_cell_that_is_measured() -> None:
    names = {cell.name for cells in command_line.PARTS.values() for cell in cells()}

    assert {aim.cell for aim in AIMS} <= names


def test_a_spread_is_the_median_between_the_extremes() -> None:
    assert str(spread([3.0, 1.0, 200.0])) == "3.00 (1.00–200)"


def test_all_loads_have_names_of_their_own_and_divide_their_callers_evenly() -> None:
    cells = [cell for part in command_line.PARTS.values() for cell in part()]

    assert len({cell.name for cell in cells}) == len(cells)
    for cell in cells:
        if isinstance(cell, PostingCell):
            assert cell.callers % cell.processes == 0
            assert all(is_installed(way) in (True, False) for way in cell.ways)


def test_the_command_writes_its_results_and_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        command_line.PARTS, "posting", lambda: [PostingCell(name="smallest", ways=("ledger",), accounts=1)]
    )
    output = tmp_path / "results" / "mine.json"

    result = CliRunner().invoke(
        command_line.main, ["--part", "posting", "--rounds", "1", "--seconds", "0.1", "--output", str(output)]
    )

    assert result.exit_code == 0, result.output
    assert "smallest" in result.output
    document = json.loads(output.read_text())
    assert [each["name"] for each in document["cells"]] == ["smallest"]
    assert "MariaDB" in document["surroundings"]["mariadb"]


def test_searches_are_measured_and_compared_with_looking_at_every_order(
    servers: Servers, redis_server: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.redis = redis_server
    redis_server.flush()
    monkeypatch.setattr(searching, "CUSTOMERS", 20)
    monkeypatch.setattr(searching, "QUESTIONS", 40)
    monkeypatch.setattr(searching, "PROOFS", 40)
    shops = Shops()
    cells = [
        SearchCell(name="any", shops=shops, question=any_combination, orders=1_500),
        SearchCell(name="by amount", shops=shops, question=any_combination, sort="-amount", orders=1_500),
        SearchCell(name="counts", shops=shops, question=any_combination, counts=True, orders=1_500),
        SearchCell(name="deep", shops=shops, question=KINDS["big customer"], page=2, orders=1_500),
        SearchCell(
            name="compared",
            shops=shops,
            question=KINDS["big customer + status + dates"],
            baselines=("mariadb", "zinterstore"),
            orders=1_500,
        ),
    ]

    results = [summary("search", cell.measure(servers, SHORT, ignore)) for cell in cells]

    assert all(each["ways"]["ledger"]["proved"] > 0 for each in results)
    assert results[3]["ways"]["ledger"]["more"]["to_page_1"]["median"] > 0
    assert all("ratio" in results[4]["ways"][way] for way in ("mariadb", "zinterstore"))
    redis_server.flush()


def test_the_measured_server_keeps_every_commit() -> None:
    with measured_servers() as servers, servers.mariadb.database() as url:
        ((flushed, synced),) = servers.mariadb.query("SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog")
        way = LedgerWay(url, accounts=1, callers=1)
        way.create()
        commits_before, syncs_before = servers.mariadb.commits_and_syncs()
        for number in range(20):
            way.post(1, f"key-{number}")
        commits, syncs = servers.mariadb.commits_and_syncs()
        way.close()

    assert (flushed, synced) == (1, 1)
    assert commits - commits_before == 20
    # InnoDB's log once and the binary log once; more when the server flushes pages meanwhile.
    assert syncs - syncs_before >= 2 * 20
