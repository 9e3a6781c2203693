"""Runners in processes of their own, killed at any moment, over an executor that misbehaves: I15, I17, I18 and I19."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from agent_office import Office
from executor_stub import Call, ExecutorStub, Reply
from ledger import log
from submissions import prove

ROOT = Path(__file__).resolve().parents[2]
ORDERS = 300
KILLS_MIN = 6
PROGRAM = """
import sys
url, executor_url = sys.argv[1:]
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from workers.runner import Runner
from workers.settings import WorkerSettings
settings = WorkerSettings(
    executor_allow_private=True, executor_timeout_s=0.6, lease_s=2.0, executor_backoff_s=0.05,
    executor_backoff_max_s=0.3,
    executor_poll_s=0.05, executor_poll_max_s=0.2, agent_calls_max=8,
)
engine = open_engine(url, LedgerSettings())
runner = Runner(
    engine=engine,
    ledger=Ledger(engine, LedgerSettings()),
    executor_of=lambda sku: ("http", {"url": executor_url}),
    settings=settings,
)
while True:
    runner.work(1.0)
    runner.wait(0.1)
"""


def misbehave(stub: ExecutorStub, call: Call) -> Reply | None:
    """Be slow, fail before or after the effect, hang up, or accept first and deliver when asked later."""
    chance = random.random()
    if call.method == "GET":
        order_id = call.path.rpartition("/")[2]
        if order_id in stub.executing and chance < 0.5:
            stub.finish(order_id)
        return Reply(status=500, document={}) if chance > 0.9 else None
    order_id = call.headers["idempotency-key"]
    if order_id in stub.book or order_id in stub.executing:
        return stub.say(order_id)
    if chance < 0.05:
        return Reply(status=500, document={})
    if chance < 0.15:
        stub.deliver(call)
        return Reply(silent=True)
    if chance < 0.2:
        stub.deliver(call)
        return Reply(status=503, document={})
    if chance < 0.3:
        return stub.accept(call)
    if chance < 0.33:
        answer = stub.deliver(call)
        answer.delay_s = 0.8
        return answer
    answer = stub.deliver(call, random.randint(0, 3))
    answer.delay_s = 0.05
    return answer


def test_killed_runners_lose_no_order_and_repeat_no_effect(office: Office) -> None:
    office.stub.behaviour = misbehave
    order_ids = [office.place(3) for _ in range(ORDERS)]
    url = office.desk.engine.url.render_as_string(hide_password=False)
    kills, runners, ends_at_s = 0, [_runner(url, office), _runner(url, office)], time.monotonic() + 90

    while _open_orders(office) > 0 or kills < KILLS_MIN:
        assert time.monotonic() < ends_at_s, f"{_open_orders(office)} orders are still open"
        time.sleep(random.uniform(0.4, 1.2))
        if kills < KILLS_MIN:
            victim = random.randrange(2)
            runners[victim].kill()
            runners[victim].wait()
            runners[victim] = _runner(url, office)
            kills += 1
    for runner in runners:
        runner.kill()
        runner.wait()

    orders = {order_id: office.order(order_id) for order_id in order_ids}
    assert {order.status for order in orders.values()} == {"completed"}
    assert {order_id: order.delivered for order_id, order in orders.items()} == office.stub.book
    assert set(office.stub.effects.values()) == {1}
    assert len({(call.headers["idempotency-key"], call.body) for call in office.stub.called("POST")}) == ORDERS
    _prove_intents(office, order_ids)
    prove(office.desk.engine)


def _runner(url: str, office: Office) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, url, office.stub.url], cwd=ROOT)


def _open_orders(office: Office) -> int:
    (row,) = office.desk.rows("SELECT COUNT(*) AS open FROM orders WHERE status IN ('placed', 'executing')")
    return int(row["open"])


def _prove_intents(office: Office, order_ids: list[str]) -> None:
    """Every call came after the first intent in the log."""
    with office.desk.engine.connect() as connection:
        histories = log.events_of_orders(connection, order_ids)
    started = {
        order_id: next(event for event in events if event.type == "order.started")
        for order_id, events in histories.items()
    }
    calls: Counter[str] = Counter()
    for call in office.stub.calls:
        order_id: Any = call.headers.get("idempotency-key") or call.path.rpartition("/")[2]
        calls[order_id] += 1
        assert started[order_id].recorded_at_us <= call.at_us, "a call came before its intent"
    assert set(calls) == set(order_ids)
