"""Executors of other packages that keep to no protocol: their orders end or wait for a person, and all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_office import FAST, Office
from executor_stub import Call, ExecutorStub, Reply
from ledger import log
from ledger.commands import PlaceOrder
from ledger.ids import new_id
from strange_executor import SAYS
from submissions import TERMS, prove
from workers.executors.protocol import (
    CancellationRefused,
    Cancelled,
    Completed,
    Contradiction,
    Executing,
    Failed,
    Unknown,
    UnusableExecutor,
)
from workers.runner import Runner

SILENT, TOO_MUCH = "executor-silent", "executor-delivered-more-than-ordered"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with executors, two of which cannot even be imported."""
    folder = tmp_path / "strange-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        "[orderledger.executors]\nstrange = strange_executor:open_strange\ncancelled = strange_executor:open_cancelled\n"
        "broken = strange_broken:open_broken\nexiting = strange_exiting:open_exiting\n"
    )
    (tmp_path / "strange_broken.py").write_text("raise RuntimeError('nobody thought of this')\n")
    (tmp_path / "strange_exiting.py").write_text("import sys\nsys.exit('SDK_KEY is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)


def runner(office: Office, name: str = "strange") -> Runner:
    """Return a runner that gives the orders of the product `strange` to the package's executor."""

    def executor_of(product: str) -> tuple[str, Mapping[str, Any]] | None:
        return (name, {"says": "it"}) if product == "strange" else office.executor_of(product)

    made = Runner(
        engine=office.desk.engine,
        ledger=office.desk.ledger,
        executor_of=executor_of,
        settings=replace(FAST, executor_unknowns_max=3),
    )
    office.runners.append(made)
    return made


def place_strange(office: Office) -> str:
    terms, order_id = replace(TERMS, sku="strange"), new_id("ord")
    command = PlaceOrder(account_id=office.account_id, product="strange", quantity=100, order_id=order_id, terms=terms)
    assert office.desk.submit(command).error is None
    return order_id


def accept_and_deliver_when_asked(stub: ExecutorStub, call: Call) -> Reply | None:
    if call.method == "POST":
        return stub.accept(call)
    order_id = call.path.rpartition("/")[2]
    if order_id in stub.executing:
        stub.finish(order_id)
    return None


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("name", ["strange", "broken", "exiting", "cancelled"])
def test_an_executor_that_cannot_be_opened_parks_its_order_and_no_other_of_the_turn(office: Office, name: str) -> None:
    strange, good, worker = place_strange(office), office.place(), runner(office, name)

    worker.turn(claiming=True)
    parked = office.order(strange)
    (order,) = office.work(good, runner=worker)

    assert (parked.status, parked.code) == ("needs_review", "executor-unavailable")
    assert (order.status, order.attempt, len(office.stub.calls)) == ("completed", 1, 1)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("says", "code"),
    [
        (None, SILENT),
        ("completed", SILENT),
        (CancellationRefused(), SILENT),
        (Completed(delivered=-1), SILENT),
        (Completed(delivered=True), SILENT),
        (Completed(delivered="100"), SILENT),  # type: ignore[arg-type]
        (Completed(delivered=150), TOO_MUCH),
        (Cancelled(delivered=101), TOO_MUCH),
        (Failed(code="out of stock", reason=None), SILENT),
        (Failed(code="缺货", reason=None), SILENT),
        (Failed(code=7, reason=None), SILENT),  # type: ignore[arg-type]
        (Failed(code="gone", reason=b"bytes"), SILENT),  # type: ignore[arg-type]
        (Contradiction(code="矛盾"), SILENT),
        (Unknown(code="超时"), SILENT),
        (Unknown(code="late", retry_after_s="soon"), SILENT),  # type: ignore[arg-type]
        (Executing(retry_after_s="soon"), SILENT),  # type: ignore[arg-type]
    ],
)
def test_a_report_that_is_none_parks_its_order_and_holds_up_no_other_of_the_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch, says: Any, code: str
) -> None:
    monkeypatch.setitem(SAYS, "it", says)
    office.stub.behaviour = accept_and_deliver_when_asked
    strange, good, worker = place_strange(office), office.place(), runner(office)

    worker.turn(claiming=True)
    parked, order = office.work(strange, good, runner=worker)

    assert (parked.status, parked.code, parked.captured_minor) == ("needs_review", code, 0)
    assert (order.status, order.attempt, len(office.stub.called("POST"))) == ("completed", 1, 1)
    prove(office.desk.engine)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("raised", [SystemExit("SDK_KEY is missing"), asyncio.CancelledError(), KeyError("no such")])
def test_what_a_call_raises_says_nothing_and_takes_no_place_for_ever(
    office: Office, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    monkeypatch.setitem(SAYS, "it", raised)
    strange, worker = place_strange(office), runner(office)

    (parked,) = office.work(strange, runner=worker)

    assert (parked.status, parked.code) == ("needs_review", SILENT)
    assert worker.in_flight == 0


@pytest.mark.usefixtures("package")
def test_a_call_that_says_the_executor_is_unusable_parks_its_order_at_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SAYS, "it", UnusableExecutor("the account was closed"))
    strange = place_strange(office)

    (parked,) = office.work(strange, runner=runner(office))

    assert (parked.status, parked.code, parked.attempt) == ("needs_review", "executor-unavailable", 1)


@pytest.mark.usefixtures("package")
def test_a_reason_is_stored_as_far_as_it_can_be(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAYS, "it", Failed(code="out-of-stock", reason="缺货 \ud800" + "x" * 1_000))
    strange = place_strange(office)

    (order,) = office.work(strange, runner=runner(office))

    assert (order.status, order.code) == ("failed", "out-of-stock")
    with office.desk.engine.connect() as connection:
        (details,) = log.details_at(connection, [order.position]).values()
    assert details["reason"] == "缺货 ?" + "x" * 496
