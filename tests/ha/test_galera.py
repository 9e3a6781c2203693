"""Three Galera nodes, two API processes, and clients that repeat: whatever happens to the node that is written to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ha.front import Load, Verdict, front, judge, opened_load
from ha.galera import Galera, GaleraNode, galera_cluster
from ha.scores import RECOVERY_S_MAX, Scores
from servers import PrivateRedis

BEFORE_S, AFTER_S = 5.0, 20.0
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
        "ORDERLEDGER_SECRET_KEY": "test",
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
        verdict = judged(load, galera, database, services[0].environment)
    note = f"{verdict.events} events, joined in {joined_s:.0f} s, not definite {dict(load.attempts)}"
    scores.add(
        "Galera, writer killed",
        acknowledged=verdict.acknowledged,
        lost=verdict.lost,
        doubled=verdict.doubled,
        recovery_s=silence_s,
        note=note,
    )
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert silence_s < RECOVERY_S_MAX
    assert galera.nodes[0].status("wsrep_cluster_size") == {"wsrep_cluster_size": "3"}
