"""The RQ worker as a process, over a real Redis that is killed, and signals that come at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from servers import PrivateRedis

ROOT = Path(__file__).resolve().parents[2]
JOBS = """
import pathlib, time
def touch(path):
    pathlib.Path(path).touch()
def linger(path):
    pathlib.Path(path + ".began").touch()
    time.sleep(1.5)
    pathlib.Path(path).touch()
"""
PROGRAM = """
import sys
from rq.job import Job
from workers.rq_worker import open_worker_redis, serve
serve("wake-ups", open_worker_redis(sys.argv[1]), Job)
"""

SWALLOWING_PROGRAM = """
import os, signal, sys
from rq.job import Job
from workers.rq_worker import open_worker_redis, serve
client = open_worker_redis(sys.argv[1])
execute = client.execute_command
def execute_command(*command, **options):
    if command[0] == sys.argv[2]:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pass
    return execute(*command, **options)
client.execute_command = execute_command
serve("wake-ups", client, Job)
"""


def wait_for(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    ends_at_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at_s, "not in time"
        time.sleep(0.02)


def start(folder: Path, url: str, *arguments: str, program: str = PROGRAM) -> subprocess.Popen[bytes]:
    (folder / "wake_up_jobs.py").write_text(JOBS)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}"}
    return subprocess.Popen([sys.executable, "-c", program, url, *arguments], env=environment)


def enqueue(url: str, function: str, path: Path) -> None:
    queue = Queue("wake-ups", connection=redis.Redis.from_url(url), serializer=JSONSerializer)
    queue.enqueue(f"wake_up_jobs.{function}", str(path), result_ttl=0, failure_ttl=60, job_timeout=30)


def hears_of_its_end(pid: int) -> bool:
    """Say whether the process handles SIGTERM by now; before, it is still importing."""
    (caught,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")]
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.fixture
def own_redis() -> Iterator[PrivateRedis]:
    with PrivateRedis() as server:
        yield server


def test_a_job_runs_and_an_idle_worker_stops_at_once(tmp_path: Path, redis_url: str) -> None:
    worker = start(tmp_path, redis_url)
    enqueue(redis_url, "touch", tmp_path / "done")
    wait_for((tmp_path / "done").exists)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(5) == 0


def test_a_worker_told_to_stop_finishes_its_job(tmp_path: Path, redis_url: str) -> None:
    worker = start(tmp_path, redis_url)
    enqueue(redis_url, "linger", tmp_path / "done")
    wait_for((tmp_path / "done.began").exists)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(10) == 0
    assert (tmp_path / "done").exists()


def test_a_worker_outlives_redis_and_takes_jobs_again(tmp_path: Path, own_redis: PrivateRedis) -> None:
    worker = start(tmp_path, own_redis.url())
    enqueue(own_redis.url(), "touch", tmp_path / "before")
    wait_for((tmp_path / "before").exists)

    own_redis.kill()
    time.sleep(2)
    own_redis.restart()
    enqueue(own_redis.url(), "touch", tmp_path / "after")

    wait_for((tmp_path / "after").exists)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(5) == 0


def test_a_worker_outlives_a_redis_that_dies_under_its_job(tmp_path: Path, own_redis: PrivateRedis) -> None:
    worker = start(tmp_path, own_redis.url())
    enqueue(own_redis.url(), "linger", tmp_path / "first")
    wait_for((tmp_path / "first.began").exists)

    own_redis.kill()
    wait_for((tmp_path / "first").exists)
    time.sleep(1)
    own_redis.restart()
    enqueue(own_redis.url(), "touch", tmp_path / "second")

    wait_for((tmp_path / "second").exists)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(5) == 0


def test_a_worker_starts_and_stops_while_redis_is_down(tmp_path: Path, own_redis: PrivateRedis) -> None:
    url = own_redis.url()
    own_redis.kill()
    worker = start(tmp_path, url)
    wait_for(lambda: hears_of_its_end(worker.pid))
    time.sleep(1)
    assert worker.poll() is None

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(10) == 0


@pytest.mark.parametrize("command", ["EXISTS", "BLMOVE"])
def test_a_worker_stops_although_the_exception_of_the_signal_was_lost(
    tmp_path: Path, redis_url: str, command: str
) -> None:
    """Before the worker works (it is being registered), and in code that catches everything (it begins to wait)."""
    worker = start(tmp_path, redis_url, command, program=SWALLOWING_PROGRAM)

    assert worker.wait(12) == 0
