"""Wake-ups: one on its way at most, none that matters lost, no commit held up, and no job but ours ever run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from ledger.append import Ledger
from ledger.errors import BadSetting
from ledger.settings import LedgerSettings
from projections import context, keys
from projections.context import Context
from projections.drain import drain_with
from projections.freshness import position_of, wait_for
from projections.jobs import WakeUpJob, queue_name
from projections.redis_clients import check_eviction, open_redis
from projections.settings import ProjectionSettings
from projections.sweep import sweep
from projections.wake import PROJECTIONS, QUEUED_MAX, TARGETS, Waker, wake
from servers import PrivateRedis
from submissions import Desk


def queued(client: redis.Redis, target: str) -> int:
    return int(client.llen(f"rq:queue:{queue_name(target)}"))


def work(client: redis.Redis, target: str) -> None:
    """Run the target's jobs until none is left."""
    worker = SimpleWorker([queue_name(target)], connection=client, job_class=WakeUpJob, serializer=JSONSerializer)
    worker.death_penalty_class = TimerDeathPenalty
    worker.work(burst=True, logging_level="CRITICAL")


@pytest.fixture
def configured(use: Context) -> Iterator[Context]:
    """This process's jobs use the test's ledger and Redis."""
    context.configure(use)
    yield use
    context.configure(None)


def test_a_second_wake_up_adds_nothing_while_the_first_is_on_its_way(use: Context) -> None:
    assert wake(use.queue_redis, "orders")
    assert not wake(use.queue_redis, "orders")

    assert queued(use.queue_redis, "orders") == 1


def test_an_unknown_target_is_refused(use: Context) -> None:
    with pytest.raises(ValueError):
        wake(use.queue_redis, "nobody")


def test_a_queue_that_nobody_works_on_stays_short(use: Context) -> None:
    for _ in range(20):
        use.queue_redis.delete(keys.flag("orders"))
        wake(use.queue_redis, "orders")

    assert queued(use.queue_redis, "orders") == QUEUED_MAX


def test_a_woken_job_drains_the_log(desk: Desk, configured: Context) -> None:
    desk.open()
    wake(configured.queue_redis, "orders")

    work(configured.queue_redis, "orders")

    assert position_of(configured.redis, "orders") == 1
    assert not configured.queue_redis.exists(keys.flag("orders"))


def test_an_append_while_a_drain_runs_wakes_again(desk: Desk, use: Context) -> None:
    wake(use.queue_redis, "orders")

    drain_with(use, "orders", linger_s=0)

    assert wake(use.queue_redis, "orders")


def test_a_drain_out_of_time_asks_for_another(desk: Desk, use: Context) -> None:
    desk.open()

    drain_with(use, "orders", run_s=0, linger_s=10)

    assert queued(use.queue_redis, "orders") == 1


def test_a_wake_up_lost_with_its_queue_is_made_up_for_by_the_sweeper(desk: Desk, configured: Context) -> None:
    desk.open()
    wake(configured.queue_redis, "orders")
    configured.queue_redis.flushall()

    sweep(configured.redis, configured.queue_redis, configured.engine)
    work(configured.queue_redis, "orders")

    assert position_of(configured.redis, "orders") == 1


def test_commits_wake_every_target(desk: Desk, use: Context) -> None:
    waker = Waker(use.queue_redis)
    ledger = Ledger(desk.engine, LedgerSettings(), after_commit=waker.after_commit)

    Desk(ledger, desk.engine).open()
    ledger.close()
    waker.close()

    assert [queued(use.queue_redis, target) for target in TARGETS] == [1] * len(TARGETS)


def test_a_redis_that_hangs_or_is_gone_holds_no_commit_up_and_is_woken_later(desk: Desk) -> None:
    with PrivateRedis() as server, open_redis(server.url(), timeout_s=0.2) as client:
        waker = Waker(client)
        ledger = Ledger(desk.engine, LedgerSettings(), after_commit=waker.after_commit)
        slow = Desk(ledger, desk.engine)
        slow.open()

        server.pause()
        began_s = time.monotonic()
        for _ in range(5):
            slow.open()
        assert time.monotonic() - began_s < 1
        server.resume()
        server.kill()
        slow.open()
        server.start()
        client.flushall()

        ends_at_s = time.monotonic() + 20
        while queued(client, "agent") == 0:
            assert time.monotonic() < ends_at_s, "no wake-up after the fault"
            time.sleep(0.02)
        ledger.close()
        waker.close()


PLANTED = ("os.system", "subprocess.call", "builtins.eval", "projections.rebuild.rebuild", "antigravity.geohash")


@pytest.mark.parametrize("function", PLANTED)
def test_a_planted_job_is_refused_and_never_imported(
    function: str, configured: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    queue = Queue(queue_name("orders"), connection=configured.queue_redis, serializer=JSONSerializer)
    job = queue.enqueue_call(function, args=("echo harm",), failure_ttl=60)

    work(configured.queue_redis, "orders")

    assert Job.fetch(job.id, connection=configured.queue_redis, serializer=JSONSerializer).is_failed
    assert "harm" not in capfd.readouterr().out
    assert "antigravity" not in sys.modules


def test_planted_callbacks_and_instances_are_ignored(
    desk: Desk, configured: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.open()
    wake(configured.queue_redis, "orders")
    job_id = configured.queue_redis.lindex(f"rq:queue:{queue_name('orders')}", 0).decode()
    for kind in ("success", "failure", "stopped"):
        configured.queue_redis.hset(f"rq:job:{job_id}", f"{kind}_callback_name", "antigravity.geohash")
    method = WakeUpJob.create("projections.drain.drain", connection=configured.queue_redis, serializer=JSONSerializer)
    method.data = JSONSerializer.dumps(["__len__", "instance", [], {}])

    work(configured.queue_redis, "orders")

    assert position_of(configured.redis, "orders") == 1
    assert "antigravity" not in sys.modules
    with pytest.raises(ValueError):
        _ = method.func


def test_drains_woken_by_commits_keep_up(desk: Desk, configured: Context) -> None:
    waker = Waker(configured.queue_redis)
    ledger = Ledger(desk.engine, LedgerSettings(), after_commit=waker.after_commit)
    busy = Desk(ledger, desk.engine)

    for _ in range(3):
        account_id = busy.open(recharged_minor=10_000)
        position = busy.place(account_id).position
        time.sleep(0.05)
        for name in PROJECTIONS:
            work(configured.queue_redis, name)
    ledger.close()
    waker.close()
    for name in PROJECTIONS:
        work(configured.queue_redis, name)

    for name in PROJECTIONS:
        assert wait_for(configured.redis, name, position, 1) == position


def test_a_redis_that_evicts_keys_is_refused() -> None:
    with PrivateRedis(options={"maxmemory-policy": "allkeys-lru"}) as server, pytest.raises(BadSetting):
        check_eviction(open_redis(server.url()))


def test_a_redis_that_keeps_keys_is_accepted(use: Context) -> None:
    check_eviction(use.redis)


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(BadSetting):
        open_redis("http://localhost")


def test_the_queue_is_where_the_read_models_are_unless_told() -> None:
    same = ProjectionSettings.from_environment({"ORDERLEDGER_REDIS_URL": "redis://a"})
    other = ProjectionSettings.from_environment(
        {"ORDERLEDGER_REDIS_URL": "redis://a", "ORDERLEDGER_QUEUE_REDIS_URL": "redis://b"}
    )

    assert (same.queue_redis_url, other.queue_redis_url) == ("redis://a", "redis://b")
