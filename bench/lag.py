"""How far the read models are behind a ledger that is posted to at half of what it can take, workers as in production."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import redis
import sqlalchemy as sa

from bench import processor
from bench.method import Measured, Method, Observation, Progress, quantile_ms, run_rounds
from bench.processes import ROOT, LoadProcess
from bench.server import Servers
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from projections import generations, keys
from projections.diff import diff
from projections.freshness import wait_for
from projections.redis_clients import open_redis
from projections.wake import PROJECTIONS, wake

CALLERS = 64
ACCOUNTS = 10_000
CEILING_SHARE = 0.5
CEILING_S = 2.0
REDIS_DATABASE = 8
LOOK_S = 0.002
"""Pause between two looks at the checkpoints: what a lag may be overestimated by."""
CAUGHT_UP_S_MAX = 30.0
STOP_S_MAX = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LagCell:
    """Posting at a fixed rate beside the projections' workers."""

    name: str

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure the time from each event's recording until each read model reflects it."""
        measured = Measured(name=self.name, unit="events", ways=("ledger",))
        database, url = servers.mariadb.fresh_database()
        order = {
            "way": "ledger",
            "url": url,
            "accounts": ACCOUNTS,
            "callers": CALLERS,
            "batch": 1,
            "server_pid": servers.mariadb.pid,
        }
        redis_url = servers.redis.url(REDIS_DATABASE)
        progress(f"{self.name}: looking for the ceiling")
        with LoadProcess(order) as load:
            load.ask("create")
            answer = load.ask("load", warm_until=time.monotonic() + 0.5, seconds=min(CEILING_S, method.seconds))
        ceiling_per_s = answer["posts"] / answer["monotonic"]
        with _workers(url, redis_url) as workers, open_redis(redis_url) as client:
            lag = Lag(servers, client, url, redis_url, ceiling_per_s, workers)
            run_rounds(measured, [lag], replace(method, rounds=1) if method.quick else method, progress)
            lag.close()
        servers.mariadb.drop_database(database)
        return measured


class Lag:
    """The poster and the workers."""

    way = "ledger"

    def __init__(
        self,
        servers: Servers,
        client: redis.Redis,
        url: str,
        redis_url: str,
        ceiling_per_s: float,
        workers: subprocess.Popen[bytes],
    ) -> None:
        self._servers = servers
        self._client = client
        self._url = url
        self._redis_url = redis_url
        self._ceiling_per_s = ceiling_per_s
        self._workers = workers
        self._engine = open_engine(url, LedgerSettings(database_url=url))

    def make_ready(self, seconds: float) -> None:
        """Wait until everything posted so far is applied."""
        head = self._head()
        for name in PROJECTIONS:
            assert wait_for(self._client, name, head, CAUGHT_UP_S_MAX) >= head, f"{name} does not catch up"

    def sample(self, seconds: float) -> Observation:
        """Post at the rate and look at the checkpoints meanwhile."""
        first = self._head() + 1
        order = {
            "way": "ledger",
            "url": self._url,
            "redis_url": self._redis_url,
            "accounts": ACCOUNTS,
            "callers": CALLERS,
            "per_s": self._ceiling_per_s * CEILING_SHARE,
        }
        watches = [Watch(self._redis_url, name) for name in PROJECTIONS]
        with LoadProcess(order, module="bench.paced_load") as poster:
            poster.ask("ready")
            before, began_s = self._snapshot(), time.monotonic()
            for watch in watches:
                watch.start()
            answer = poster.ask("post", seconds=seconds)
            elapsed_s = time.monotonic() - began_s
            after = self._snapshot()
        self.make_ready(0)
        for watch in watches:
            watch.end()
        recorded = self._recorded_from(first)
        lags_us = {watch.name: sorted(watch.lags_us(first, recorded)) for watch in watches}
        spent = {name: after[name] - before[name] for name in before}
        spent["poster"] = answer["own_s"]
        # Looking costs something, too, and is not the neighbours'.
        machine_s = spent.pop("machine") - spent.pop("own")
        slowest = max(lags_us.values(), key=lambda each: quantile_ms(each, 0.99) or 0)
        return Observation(
            operations=len(recorded),
            per_s=len(recorded) / elapsed_s,
            p50_ms=quantile_ms(slowest, 0.50),
            p99_ms=quantile_ms(slowest, 0.99),
            cpu_us={name: value / len(recorded) * 1_000_000 for name, value in spent.items()},
            others_cores=max(0.0, machine_s - sum(spent.values())) / elapsed_s,
            more={
                "ceiling": self._ceiling_per_s,
                **{f"p99_{name}_ms": quantile_ms(each, 0.99) or 0.0 for name, each in lags_us.items()},
            },
        )

    def prove(self) -> int:
        """Compare the balances with a replay."""
        self.make_ready(0)
        assert diff(self._engine, self._client, "balances").differences == ()
        return self._head()

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()

    def _head(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT position FROM log_head")).scalar_one())

    def _recorded_from(self, position: int) -> list[int]:
        query = sa.text("SELECT recorded_at_us FROM events WHERE position >= :position ORDER BY position")
        with self._engine.connect() as connection:
            return list(connection.execute(query, {"position": position}).scalars())

    def _snapshot(self) -> dict[str, float]:
        children = Path(f"/proc/{self._workers.pid}/task/{self._workers.pid}/children").read_text().split()
        return {
            "machine": processor.machine_s(),
            "own": processor.own_s(),
            "workers": sum(processor.process_s(int(pid)) for pid in children),
            "redis": processor.process_s(self._servers.redis.pid),
            "mariadbd": processor.process_s(self._servers.mariadb.pid),
        }


class Watch(threading.Thread):
    """Looks at one checkpoint again and again."""

    def __init__(self, redis_url: str, name: str) -> None:
        super().__init__(daemon=True)
        self.name = name
        self._client = open_redis(redis_url)
        self._ended = threading.Event()
        self._seen: list[tuple[int, int]] = []

    def run(self) -> None:
        """Note when which position was first seen."""
        live = generations.live(self._client, self.name)
        assert live is not None
        key = keys.checkpoint(self.name, live.generation)
        last = 0
        while not self._ended.is_set():
            position = int(self._client.hget(key, "position") or 0)  # type: ignore[arg-type]
            if position > last:
                last = position
                self._seen.append((position, time.time_ns() // 1_000))
            time.sleep(LOOK_S)

    def end(self) -> None:
        """Look a last time and stop."""
        time.sleep(LOOK_S * 10)
        self._ended.set()
        self.join()
        self._client.close()

    def lags_us(self, first: int, recorded_at_us: Sequence[int]) -> list[int]:
        """Return how long after its recording each event was seen applied."""
        positions = [position for position, _ in self._seen]
        return [
            self._seen[bisect_left(positions, position)][1] - at_us
            for position, at_us in enumerate(recorded_at_us, first)
        ]


@contextlib.contextmanager
def _workers(url: str, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the projections' workers as `orderledger worker projections` does."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "ORDERLEDGER_DATABASE_URL": url,
        "ORDERLEDGER_REDIS_URL": redis_url,
    }
    code = "import os, sys; from workers.roles import run_projection_workers as run; sys.exit(run(os.environ))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with open_redis(redis_url) as client:
            _wake_until_live(client)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wake_until_live(client: redis.Redis) -> None:
    ends_at_s = time.monotonic() + CAUGHT_UP_S_MAX
    while any(generations.live(client, name) is None for name in PROJECTIONS):
        assert time.monotonic() < ends_at_s, "the workers do not start"
        for name in PROJECTIONS:
            wake(client, name)
        time.sleep(0.1)
