"""Three Galera nodes, two API processes, and clients that repeat: whatever happens to the node that is written to."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ha.front import Load, Verdict, front, judge, opened_load
from ha.galera import Galera, GaleraNode, galera_cluster
from ha.scores import RECOVERY_S_MAX, Scores
from running_service import Service
from servers import PrivateRedis

BEFORE_S, AFTER_S = 5.0, 12.0
"""Load before the fault and after it."""


@pytest.fixture(scope="module")
def galera() -> Iterator[Galera]:
    with galera_cluster() as cluster:
        yield cluster


@pytest.fixture
def environment(redis_server: PrivateRedis, tmp_path: Path) -> dict[str, str]:
    redis_server.flush()
    return {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the failovers, 0123456789 abcdef",
        "ORDERLEDGER_REDIS_URL": redis_server.url(),
        "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
        "ORDERLEDGER_EXECUTOR_ALLOW_PRIVATE": "true",
    }


@pytest.fixture
def database(galera: Galera, request: pytest.FixtureRequest) -> str:
    """A fresh database on every node; every node runs."""
    for node in galera.nodes:
        if node._process is None:
            galera.join_again(node)
    name = request.node.name[:60]
    galera.nodes[0].create_database(name)
    return name


def verified(node: GaleraNode, database: str, environment: dict[str, str]) -> int:
    """Run `audit verify` against one node alone and return its exit code."""
    command = [sys.executable, "-m", "orderledger", "audit", "verify"]
    alone = {**environment, "ORDERLEDGER_DATABASE_URL": node.tcp_url(database)}
    done = subprocess.run(command, env=alone, capture_output=True, check=False)
    print(done.stdout.decode()[-300:], done.stderr.decode()[-300:])
    return done.returncode


def judged(load: Load, galera: Galera, database: str, environment: dict[str, str]) -> Verdict:
    """Judge the log on every node that runs; all must say the same."""
    running = [node for node in galera.nodes if node._process is not None]
    # A node applies a little later what another one has committed.
    galera.wait_until_all({"wsrep_local_recv_queue": "0", "wsrep_ready": "ON"}, running)
    verdicts = {judge(load, node.tcp_url(database)) for node in running}
    assert len(verdicts) == 1, verdicts
    assert [verified(node, database, environment) for node in running] == [0] * len(running)
    return verdicts.pop()


def in_threads(run: Sequence[Callable[[], object]]) -> None:
    """Run all at the same time."""
    threads = [threading.Thread(target=each) for each in run]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def loaded(
    galera: Galera, database: str, environment: dict[str, str], log: Path, *, firsts: tuple[int, int] = (0, 0)
) -> Iterator[tuple[Load, list[Service]]]:
    """Run two API processes, each with its own order of the nodes, under a load that is judged by the test."""
    environments = [{**environment, "ORDERLEDGER_DATABASE_URL": galera.urls(database, first=each)} for each in firsts]
    with front(environments, workers=False, log=log) as services:
        load = opened_load(services)
        load.begin()
        try:
            time.sleep(BEFORE_S)
            yield load, services
        finally:
            load.end()


def scored(scores: Scores, scenario: str, verdict: Verdict, silence_s: float, note: str) -> None:
    """Print the line, and refuse what was lost, doubled or late."""
    figures = {"acknowledged": verdict.acknowledged, "lost": verdict.lost, "doubled": verdict.doubled}
    scores.add(scenario, **figures, recovery_s=silence_s, note=note)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert silence_s < RECOVERY_S_MAX


def test_the_node_that_is_written_to_is_killed_and_joins_again(
    galera: Galera, database: str, environment: dict[str, str], scores: Scores, tmp_path: Path
) -> None:
    environment["ORDERLEDGER_DATABASE_URL"] = galera.urls(database)
    with front([environment, environment], workers=True, log=tmp_path / "log") as services:
        load = opened_load(services)
        load.begin()
        time.sleep(BEFORE_S)

        galera.nodes[0].kill()
        killed_at_s = time.monotonic()
        time.sleep(AFTER_S)
        joined_s = galera.join_again(galera.nodes[0])
        time.sleep(AFTER_S)
        load.end()

        silence_s = load.silence_after(killed_at_s)
        services[0].wait_until(services[0].caught_up)
        verdict = judged(load, galera, database, environment)
    assert galera.nodes[0].was_increment()
    note = f"got what was missing in {joined_s:.0f} s while it went on; not definite at first: {dict(load.attempts)}"
    scored(scores, "Galera: writing node killed, joins again", verdict, silence_s, note)
    assert galera.nodes[0].status("wsrep_cluster_size") == {"wsrep_cluster_size": "3"}


def test_the_node_that_is_written_to_hangs_and_wakes_up_again(
    galera: Galera, database: str, environment: dict[str, str], scores: Scores, tmp_path: Path
) -> None:
    with loaded(galera, database, environment, tmp_path / "log") as (load, _):
        galera.nodes[0].pause()
        paused_at_s = time.monotonic()
        time.sleep(AFTER_S)
        galera.nodes[0].resume()
        time.sleep(AFTER_S)

    silence_s = load.silence_after(paused_at_s)
    verdict = judged(load, galera, database, environment)
    scored(scores, "Galera: writing node frozen, thawed", verdict, silence_s, f"not definite: {dict(load.attempts)}")


def test_the_node_that_is_written_to_is_cut_from_its_cluster_and_comes_back(
    galera: Galera, database: str, environment: dict[str, str], scores: Scores, tmp_path: Path
) -> None:
    writer = galera.nodes[0]
    with loaded(galera, database, environment, tmp_path / "log") as (load, _):
        writer.execute("SET GLOBAL wsrep_provider_options='gmcast.isolate=1'")
        cut_at_s = time.monotonic()
        galera.wait_until_all({"wsrep_cluster_status": "non-Primary"}, [writer])
        time.sleep(AFTER_S)
        writer.execute("SET GLOBAL wsrep_provider_options='gmcast.isolate=0'")
        galera.wait_until_all({"wsrep_cluster_size": "3"}, galera.nodes)
        time.sleep(AFTER_S / 2)

    silence_s = load.silence_after(cut_at_s)
    verdict = judged(load, galera, database, environment)
    note = f"not definite at first: {dict(load.attempts)}"
    scored(scores, "Galera: writing node cut off, comes back", verdict, silence_s, note)


def test_without_a_majority_nothing_is_recorded_until_the_others_are_back(
    galera: Galera, database: str, environment: dict[str, str], scores: Scores, tmp_path: Path
) -> None:
    with loaded(galera, database, environment, tmp_path / "log") as (load, _):
        for node in galera.nodes[1:]:
            node.kill()
        galera.wait_until_all({"wsrep_cluster_status": "non-Primary"}, galera.nodes[:1])
        time.sleep(BEFORE_S)
        acknowledged = len(load.acknowledged)
        time.sleep(BEFORE_S)
        assert len(load.acknowledged) == acknowledged

        in_threads([partial(galera.join_again, node) for node in galera.nodes[1:]])
        back_at_s = time.monotonic()
        time.sleep(AFTER_S)

    silence_s = load.silence_after(back_at_s)
    verdict = judged(load, galera, database, environment)
    assert {"503 unavailable"} <= set(load.attempts)
    note = f"nothing meanwhile; not definite at first: {dict(load.attempts)}"
    scored(scores, "Galera: two of three killed, back", verdict, silence_s, note)


def test_a_node_that_is_copied_whole_does_not_stop_the_one_that_is_written_to(
    galera: Galera, database: str, environment: dict[str, str], scores: Scores, tmp_path: Path
) -> None:
    joining = galera.nodes[1]
    with loaded(galera, database, environment, tmp_path / "log") as (load, _):
        joining.kill()
        killed_at_s = time.monotonic()
        joining.forget_its_place()
        joined_s = galera.join_again(joining)
        time.sleep(BEFORE_S)

    silence_s = load.silence_after(killed_at_s)
    verdict = judged(load, galera, database, environment)
    scored(scores, "Galera: another node killed, copied whole", verdict, silence_s, f"joined in {joined_s:.0f} s")


def test_processes_that_write_at_different_nodes_are_right_but_slow(
    galera: Galera, database: str, environment: dict[str, str], scores: Scores, tmp_path: Path
) -> None:
    rates = []
    for number, firsts in enumerate(((0, 0), (0, 1))):
        name = f"{database[:50]}_{number}"
        galera.nodes[0].create_database(name)
        with loaded(galera, name, environment, tmp_path / f"log{number}", firsts=firsts) as (load, _):
            before, began_at_s = len(load.acknowledged), time.monotonic()
            time.sleep(AFTER_S)
            rates.append((len(load.acknowledged) - before) / (time.monotonic() - began_at_s))
        silence_s = load.silence_after(began_at_s)
        verdict = judged(load, galera, name, environment)
        note = f"{rates[-1]:.0f} commands/s; not definite at first: {dict(load.attempts)}"
        where = "different nodes" if number else "one node"
        scored(scores, f"Galera: two processes writing at {where}", verdict, silence_s, note)
    assert rates[1] > 0
