"""Audits are measured on a log that the ledger itself would have left, and every audit must come out clean."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest

from bench import valid_log
from bench.audit import AuditCell
from bench.method import Method
from bench.parts import replay as part
from bench.report import summary
from bench.server import MeasuredServer, Servers
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from servers import PrivateMariaDB
from submissions import prove

SHORT = Method(rounds=1, seconds=0.05, quiet_wait_s=0.0)


@pytest.fixture
def servers(mariadb: PrivateMariaDB) -> Servers:
    found = Servers(ExitStack())
    found.mariadb = MeasuredServer(mariadb)
    return found


def test_a_filled_log_is_one_that_the_ledger_could_have_written(mariadb_url: str) -> None:
    valid_log.fill(mariadb_url, 2_500)

    engine = open_engine(mariadb_url, LedgerSettings())
    assert prove(engine) == 2_500
    engine.dispose()


def test_every_installed_way_goes_over_the_log(servers: Servers) -> None:
    result = summary("part", AuditCell(size=1_500).measure(servers, SHORT, lambda text: None))

    assert (result["unit"], result["axis"], result["size"]) == ("events", "events", 1_500)
    for way, figures in result["ways"].items():
        assert figures == {"missing": "not installed"} or figures["per_s"]["median"] > 0, way
    assert result["ways"]["ledger"]["proved"] == 1_500


def test_a_long_log_is_left_out_of_a_quick_run(servers: Servers) -> None:
    (longest,) = part.longest_cells()

    result = summary("part", longest.measure(servers, replace(SHORT, quick=True), lambda text: None))

    assert all(figures == {"missing": "left out of a quick run"} for figures in result["ways"].values())
