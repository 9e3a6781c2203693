"""A Redis master that dies under load: commands go on, read models and the agent come back, people stay logged in."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa
import urllib3

from ha.front import Load, front, judge, opened_load
from ha.scores import RECOVERY_S_MAX, Scores
from ha.sentinels import WatchedRedis, watched_redis
from projections import generations
from projections.redis_clients import open_redis
from running_service import Service

BEFORE_S, AFTER_S = 5.0, 15.0
CAUGHT_UP_S_MAX = 60.0
"""T of the invariants: within it after a fault read models and agent are caught up."""
PASSWORD = "a horse of another colour"
MODELS = ("balances", "orders", "transactions")


@pytest.fixture
def watched() -> Iterator[WatchedRedis]:
    with watched_redis() as servers:
        yield servers


@pytest.fixture
def environment(mariadb_url: str, watched: WatchedRedis, tmp_path: Path) -> dict[str, str]:
    return {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the failovers, 0123456789 abcdef",
        "ORDERLEDGER_DATABASE_URL": mariadb_url,
        "ORDERLEDGER_REDIS_URL": watched.url,
        "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
        "ORDERLEDGER_SESSION_COOKIE_SECURE": "false",
    }


def equal_to_a_replay(service: Service) -> bool:
    """Say whether `projections diff` finds every read model equal to a replay."""
    for name in MODELS:
        command = [sys.executable, "-m", "orderledger", "projections", "diff", name]
        if subprocess.run(command, env=service.environment, capture_output=True, check=False).returncode != 0:
            return False
    return True


def ended_orders(url: str) -> tuple[int, int, int]:
    """Return how many orders there are, how many have ended, and how many were completed more than once."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        counts = [
            connection.exec_driver_sql(query).scalar_one()
            for query in (
                "SELECT COUNT(*) FROM orders",
                "SELECT COUNT(*) FROM orders WHERE status IN ('completed','failed','cancelled')",
                "SELECT COUNT(*) - COUNT(DISTINCT order_id) FROM events WHERE type='order.completed'",
            )
        ]
    engine.dispose()
    return counts[0], counts[1], counts[2]


def settle_everything(service: Service, load: Load, url: str) -> float:
    """Wait until the agent and the read models are done, and return how long that took."""
    load.end()
    return service.wait_until(
        lambda: ended_orders(url)[0] == ended_orders(url)[1] and service.caught_up(), s_max=CAUGHT_UP_S_MAX
    )


def logged_in(service: Service, load: Load) -> str:
    """Log a person in and return the session's cookie."""
    person = {"username": "ada", "password": PASSWORD}
    made = load.clients[0].post("/v1/users", {**person, "role": "operator"})
    assert made.status == 201, made.body
    answer = urllib3.request("POST", service.address + "/v1/session", json=person)
    assert answer.status == 201, answer.data
    return answer.headers["Set-Cookie"].partition(";")[0]


def is_logged_in(service: Service, cookie: str) -> bool:
    """Say whether the session is still good."""
    return urllib3.request("GET", service.address + "/v1/me", headers={"Cookie": cookie}, retries=False).status == 200


def reads(load: Load) -> bool:
    """Say whether the read models answer at every API process."""
    return all(client.get("/v1/orders?limit=1").status == 200 for client in load.clients)


def position_in(client: redis.Redis) -> int:
    """Return how far the transactions' read model is on this server."""
    live = generations.live(client, "transactions")
    checkpoint = None if live is None else live.checkpoint()
    return 0 if checkpoint is None else checkpoint.position


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_commands_go_on_and_everything_heals_when_the_master_is_lost(
    how: str, watched: WatchedRedis, environment: dict[str, str], mariadb_url: str, scores: Scores, tmp_path: Path
) -> None:
    with front([environment, environment], workers=True, log=tmp_path / "log") as services:
        load = opened_load(services, delay_s=0)
        cookie = logged_in(services[0], load)
        load.begin()
        time.sleep(BEFORE_S)

        old = watched.master()
        old.kill() if how == "killed" else old.pause()
        lost_at_s = time.monotonic()
        back_s = services[0].wait_until(lambda: reads(load), s_max=RECOVERY_S_MAX)
        time.sleep(AFTER_S)
        old.start() if how == "killed" else old.resume()
        watched.wait_until_watched(replicas=2)
        time.sleep(BEFORE_S)
        caught_up_s = settle_everything(services[0], load, mariadb_url)

        silence_s = load.silence_after(lost_at_s)
        verdict = judge(load, mariadb_url)
        assert watched.master() is not old
        assert equal_to_a_replay(services[0])
        assert ended_orders(mariadb_url)[2] == 0
        stays = is_logged_in(services[0], cookie)
    scores.add(
        f"Sentinel: master {how}, comes back",
        acknowledged=verdict.acknowledged,
        lost=verdict.lost,
        doubled=verdict.doubled,
        recovery_s=silence_s,
        note=f"searches back after {back_s:.1f} s, all done {caught_up_s:.1f} s after the load; "
        f"not definite at first: {dict(load.attempts)}; session {'kept' if stays else 'lost'}",
    )
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert silence_s < 5, "a command waited for Redis"
    assert not any(code.startswith("503") for code in load.attempts), load.attempts
    assert stays


def test_a_read_model_that_went_back_goes_on_from_there(
    watched: WatchedRedis, environment: dict[str, str], mariadb_url: str, scores: Scores, tmp_path: Path
) -> None:
    """The replicas miss the last writes of the master, which then is lost: positions go back, and nothing else."""
    with front([environment], workers=True, log=tmp_path / "log") as services:
        load = opened_load(services, delay_s=0)
        load.begin()
        time.sleep(BEFORE_S)
        old = watched.master()
        for replica in watched.servers:
            if replica is not old:
                replica.pause()
        time.sleep(1)
        with open_redis(old.url()) as client:
            ahead = position_in(client)

        old.kill()
        lost_at_s = time.monotonic()
        for replica in watched.servers:
            if replica is not old:
                replica.resume()
        services[0].wait_until(lambda: watched.master() is not old, s_max=RECOVERY_S_MAX)
        with open_redis(watched.master().url()) as client:
            behind = position_in(client)
        time.sleep(BEFORE_S)
        caught_up_s = settle_everything(services[0], load, mariadb_url)

        verdict = judge(load, mariadb_url)
        assert equal_to_a_replay(services[0])
        assert ended_orders(mariadb_url)[2] == 0
    note = f"read models at {ahead} on the old master, {behind} on the new one; all done {caught_up_s:.1f} s after the load"
    scores.add(
        "Sentinel: master lost with its last writes",
        acknowledged=verdict.acknowledged,
        lost=verdict.lost,
        doubled=verdict.doubled,
        recovery_s=load.silence_after(lost_at_s),
        note=note,
    )
    assert (verdict.lost, verdict.doubled) == (0, 0)
