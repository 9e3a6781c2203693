"""The agent as a worker process has it: a thread that outlives the jobs that wake it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent_office import FAST, Office
from executor_stub import Reply
from workers import agent as agent_module
from workers.agent import Agent, install, run_agent

ROOT = Path(__file__).resolve().parents[2]
ABRUPT = """
import sys, time
from ledger.append import Ledger
from ledger.database import open_engine
from ledger.logs import configure_logs
from ledger.settings import LedgerSettings
from workers.agent import Agent
from workers.runner import Runner
from workers.settings import WorkerSettings
configure_logs("info", role="agent")
engine = open_engine(sys.argv[1], LedgerSettings())
ledger = Ledger(engine, LedgerSettings())
runner = Runner(engine=engine, ledger=ledger, executor_of=sys.exit, settings=WorkerSettings())
Agent(runner, lambda: None).work(30)
time.sleep(30)
"""


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    ends_at_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at_s, "not in time"
        time.sleep(0.01)


def test_a_job_executes_what_is_due_and_returns(office: Office) -> None:
    agent = Agent(office.runner(), lambda: None)
    order_ids = [office.place(1) for _ in range(10)]

    agent.work()

    assert {office.order(each).status for each in order_ids} == {"completed"}
    agent.close()


def test_a_job_with_nothing_to_do_returns_at_once(office: Office) -> None:
    agent = Agent(office.runner(), lambda: None)
    began_s = time.monotonic()

    agent.work()
    agent.work()

    assert time.monotonic() - began_s < 1
    agent.close()


def test_a_job_ends_in_its_time_and_asks_for_another_when_work_is_left(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: stub.accept(call) if call.method == "POST" else None
    woken: list[int] = []
    agent = Agent(office.runner(), lambda: woken.append(1))
    order_id = office.place()
    began_s = time.monotonic()

    agent.work(0.6)

    assert 0.5 < time.monotonic() - began_s < 1.5
    assert woken == [1]
    office.stub.finish(order_id)
    agent.work()
    assert office.order(order_id).status == "completed"
    agent.close()


def test_an_answer_that_comes_after_the_job_ended_is_recorded_all_the_same(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: replace(stub.deliver(call), delay_s=0.7)
    agent = Agent(office.runner(), lambda: None)
    order_id = office.place()

    agent.work(0.2)
    assert office.order(order_id).status == "executing"

    wait_for(lambda: office.order(order_id).status == "completed", 3.0)
    agent.close()


def test_a_wait_beyond_a_second_is_left_to_the_sweeper(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: Reply(status=503, document={}, headers={"Retry-After": "30"})
    agent = Agent(office.runner(), lambda: None)
    office.place()
    began_s = time.monotonic()

    agent.work()

    assert time.monotonic() - began_s < 2
    agent.close()


def test_stopping_records_the_calls_under_way_and_begins_no_more(office: Office) -> None:
    office.stub.behaviour = lambda stub, call: replace(stub.deliver(call), delay_s=0.5)
    agent = Agent(office.runner(replace(FAST, agent_calls_max=4, executor_timeout_s=3.0)), lambda: None)
    order_ids = [office.place(1) for _ in range(12)]
    threading.Thread(target=agent.work, daemon=True).start()
    wait_for(lambda: len(office.stub.calls) >= 1)

    agent.close()

    called = {call.headers["idempotency-key"] for call in office.stub.calls}
    assert {each for each in order_ids if office.order(each).status == "completed"} == called
    assert 0 < len(called) < 12


def test_two_jobs_at_once_are_as_good_as_one(office: Office) -> None:
    agent = Agent(office.runner(), lambda: None)
    order_ids = [office.place(1) for _ in range(10)]
    jobs = [threading.Thread(target=agent.work) for _ in range(2)]

    for job in jobs:
        job.start()
    for job in jobs:
        job.join(10)

    assert len(office.stub.calls) == 10
    assert {office.order(each).status for each in order_ids} == {"completed"}
    agent.close()


def test_the_job_uses_the_agent_of_its_process(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "_installed", None)
    with pytest.raises(RuntimeError):
        run_agent()
    agent = Agent(office.runner(), lambda: None)
    install(agent)
    order_id = office.place()

    run_agent()

    assert office.order(order_id).status == "completed"
    agent.close()


def test_a_thread_that_ends_by_what_nobody_foresaw_says_so_and_ends_its_process(office: Office) -> None:
    office.place()
    url = office.desk.engine.url.render_as_string(hide_password=False)

    ended = subprocess.run([sys.executable, "-c", ABRUPT, url], cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert ended.returncode == -signal.SIGTERM
    assert "agent-ended-abruptly" in ended.stderr


def test_no_job_waits_for_a_thread_that_has_ended(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.place()
    runner, ends = office.runner(), []
    began_s = time.monotonic()

    with monkeypatch.context() as patched:
        patched.setattr(runner, "wait", sys.exit)
        agent = Agent(runner, lambda: None, end_process=lambda: ends.append(1))
        agent.work(10)
        agent.work(10)

    assert time.monotonic() - began_s < 5
    assert ends == [1]
