"""The simulated executor, and finding executors by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.clock import now_us
from ledger.executor_settings import validate_settings
from workers.delays import after_executing_s, after_unknown_s
from workers.executors.http import open_http
from workers.executors.protocol import (
    CancellationRefused,
    Cancelled,
    Completed,
    Executing,
    ExecutorOrder,
    Failed,
    UnusableExecutor,
)
from workers.executors.registry import Executors, factory
from workers.executors.simulated import SimulatedExecutor
from workers.settings import WorkerSettings

SETTINGS = WorkerSettings()


def order(order_id: str = "ord_1", *, seconds_ago: float = 0.0) -> ExecutorOrder:
    return ExecutorOrder(
        order_id=order_id,
        product="sms",
        quantity=10,
        params=None,
        amount="1.00",
        currency="CNY",
        reference=None,
        started_at_us=now_us() - int(seconds_ago * 1_000_000),
    )


def simulated(**settings: Any) -> SimulatedExecutor:
    found = Executors(SETTINGS).open("simulated", settings)
    assert isinstance(found, SimulatedExecutor)
    return found


def test_a_simulated_order_ends_a_while_after_its_start() -> None:
    executor = simulated(delay_s=2)

    early = executor.execute(order(seconds_ago=1.5), 1.0)
    late = executor.enquire(order(seconds_ago=2.1), 1.0)

    assert isinstance(early, Executing)
    assert early.retry_after_s == pytest.approx(0.5, abs=0.1)
    assert late == Completed(delivered=10)


def test_simulated_failures_are_a_fixed_part_of_the_orders() -> None:
    executor = simulated(delay_s=0, fail_percent=30, deliver_percent=50)
    ids = [f"ord_{number}" for number in range(1_000)]

    reports = [executor.execute(order(each), 1.0) for each in ids]

    assert reports == [
        simulated(delay_s=0, fail_percent=30, deliver_percent=50).enquire(order(each), 1.0) for each in ids
    ]
    assert 250 < sum(isinstance(report, Failed) for report in reports) < 350
    assert all(report == Completed(delivered=5) for report in reports if isinstance(report, Completed))


def test_a_simulated_order_can_be_taken_back_until_it_ends() -> None:
    executor = simulated(delay_s=2)

    assert executor.cancel(order(seconds_ago=1), 1.0) == Cancelled(delivered=0)
    assert executor.cancel(order(seconds_ago=3), 1.0) == CancellationRefused()


def test_an_executor_is_opened_once_for_the_same_settings() -> None:
    executors = Executors(SETTINGS)

    assert executors.open("simulated", {"delay_s": 1}) is executors.open("simulated", {"delay_s": 1})
    assert executors.open("simulated", {"delay_s": 1}) is not executors.open("simulated", {"delay_s": 2})


@pytest.mark.parametrize(
    ("name", "settings"),
    [("carrier-pigeon", {}), ("http", {}), ("http", {"url": "file:///etc/passwd"}), ("simulated", {"delay_s": "1"})],
)
def test_an_executor_that_cannot_be_opened_says_so(name: str, settings: Mapping[str, Any]) -> None:
    with pytest.raises(UnusableExecutor):
        Executors(SETTINGS).open(name, settings)


def test_a_product_cannot_ask_for_a_deadline_beyond_half_the_lease() -> None:
    short = Executors(replace(SETTINGS, lease_s=8.0))

    executor = short.open("http", {"url": "https://executor.example/", "timeout_s": 12})

    assert executor.timeout_s == 4.0


def test_waits_grow_up_to_their_bound_and_honour_what_the_executor_asks_for() -> None:
    first = [after_unknown_s(1, None, SETTINGS) for _ in range(100)]
    late = [after_unknown_s(1_000, None, SETTINGS) for _ in range(100)]

    assert 0.25 <= min(first) <= max(first) <= 0.5
    assert 7.5 <= min(late) <= max(late) <= 15.0
    assert len(set(late)) > 50
    assert after_unknown_s(1, 42.0, SETTINGS) == 42.0
    assert after_unknown_s(1, 10_000.0, SETTINGS) == 300.0
    assert after_executing_s(1, 0.6, SETTINGS) == 0.6
    assert after_executing_s(1, 0.0, SETTINGS) == 0.25
    assert after_executing_s(1_000, None, SETTINGS) <= 10.0


def test_a_package_can_bring_an_executor_but_not_take_over_a_built_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pigeons.py").write_text(
        "def open_pigeons(settings, **limits):\n    return (settings['loft'], limits)\n"
    )
    folder = tmp_path / "pigeons-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeons\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[orderledger.executors]\npigeon = pigeons:open_pigeons\nhttp = pigeons:open_pigeons\nlost = nowhere:open\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    opened: Any = Executors(SETTINGS).open("pigeon", {"loft": "north"})

    assert opened == ("north", {"timeout_s": 10.0, "call_s_max": 15, "allow_private": False})
    assert validate_settings("pigeon", {"anything": 1}) == []
    assert factory("http") is open_http
    with pytest.raises(UnusableExecutor):
        factory("lost")
