"""Wake-ups after a commit: at most one on its way for each target, lost ones made up for by the sweeper.

A wake-up is a flag that only the woken job removes, first of all, and one job. Events appended while the flag stands
are seen by the job that will remove it; a lost job is forgotten with the flag, which expires.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from rq import Queue
from rq.serializers import JSONSerializer

from ledger.ids import new_id
from projections import keys
from projections.jobs import DRAIN, RUN_AGENT, RUN_WEBHOOKS, WakeUpJob, queue_name

AGENT = "agent"
WEBHOOKS = "webhooks"
PROJECTIONS = ("balances", "orders", "transactions")
TARGETS = (*PROJECTIONS, AGENT, WEBHOOKS)
_JOBS = {AGENT: RUN_AGENT, WEBHOOKS: RUN_WEBHOOKS}
FLAG_MS = 5_000
QUEUED_MAX = 3
"""Jobs that may wait for one target: more would only pile up while nobody works on them."""
JOB_TIMEOUT_S = 60
FAILURE_TTL_S = 3_600
PAUSE_S = 0.5
INTERVAL_S = 0.01
"""Between two wake-ups: a busy ledger commits hundreds of times a second, and each costs Redis and us a round trip."""

_log = structlog.get_logger(__name__)


def wake(queue_redis: redis.Redis, target: str) -> bool:
    """Have the target's job run soon; say whether one was enqueued. Raises redis.RedisError."""
    return target in wake_all(queue_redis, (target,))


def wake_all(queue_redis: redis.Redis, targets: Sequence[str] = TARGETS) -> list[str]:
    """Have the targets' jobs run soon, in one round trip when all are on their way; return those that were enqueued.

    Raises redis.RedisError.
    """
    for target in targets:
        if target not in TARGETS:
            raise ValueError(f"no such target: {target}")
    with queue_redis.pipeline(transaction=False) as pipeline:
        for target in targets:
            pipeline.set(keys.flag(target), b"1", nx=True, px=FLAG_MS)
        raised = pipeline.execute()
    wanted = [target for target, is_new in zip(targets, raised, strict=True) if is_new]
    return [target for target in wanted if _enqueue(queue_redis, target)]


def _enqueue(queue_redis: redis.Redis, target: str) -> bool:
    queue = Queue(
        queue_name(target), connection=queue_redis, serializer=JSONSerializer, job_class=WakeUpJob, is_async=True
    )
    if queue.count >= QUEUED_MAX:
        return False
    function, arguments = (_JOBS[target], ()) if target in _JOBS else (DRAIN, (target,))
    queue.enqueue(
        function,
        *arguments,
        job_id=new_id("wake"),
        job_timeout=JOB_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=FAILURE_TTL_S,
    )
    return True


def clear_flag(queue_redis: redis.Redis, target: str) -> None:
    """Let the next event wake the target again; its job says so before it looks at the log."""
    queue_redis.delete(keys.flag(target))


class Waker:
    """A thread that wakes all targets after commits, so that no commit ever waits for Redis."""

    def __init__(self, queue_redis: redis.Redis) -> None:
        self._redis = queue_redis
        self._committed = threading.Event()
        self._closing = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
        self._thread.start()

    def after_commit(self, position: int) -> None:
        """Note that there are new events up to `position`. Never blocks, never fails."""
        self._committed.set()

    def close(self, timeout_s: float = PAUSE_S * 10) -> None:
        """Send the last wake-ups if Redis answers in time, and end the thread."""
        self._closing.set()
        self._committed.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._committed.wait()
            self._committed.clear()
            self._wake_all()
            self._closing.wait(INTERVAL_S)

    def _wake_all(self) -> None:
        try:
            wake_all(self._redis)
        except Exception as error:  # noqa: BLE001 - The edge of a thread that must outlive any fault of Redis.
            self._report(error)
            # The wake-ups are due still; meanwhile the sweeper may have seen to them.
            self._committed.set()
            self._closing.wait(PAUSE_S)
        else:
            self._failing = False

    def _report(self, error: Any) -> None:
        if not self._failing:
            _log.warning("wake-up-failed", error=type(error).__name__)
        self._failing = True
