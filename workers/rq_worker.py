"""An RQ worker for one queue of wake-ups: jobs run in this process, one at a time, and may be lost or doubled.

One queue per worker, because a worker on several can lose a job between them. No scheduler, no retries and no cron of
RQ: time belongs to the sweeper, which reads the database. The worker listens to no commands that come through Redis.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import redis
import structlog
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from projections.redis_clients import client_for
from workers.stopping import Stop

WORKER_TTL_S = 45
"""How long Redis remembers a worker that says nothing; it speaks whenever its wait for a job ends."""
JOB_WAIT_S = 5
"""How long a worker waits for a job before it looks again whether to stop."""
MAINTENANCE_INTERVAL_S = 30
CONNECT_TIMEOUT_S = 3.0
COMMAND_RETRIES_MAX = 3
COMMAND_PAUSE_S_MIN, COMMAND_PAUSE_S_MAX = 0.1, 2.0
RECONNECT_PAUSE_S_MIN, RECONNECT_PAUSE_S_MAX = 0.2, 4.0
"""Bounds of the pause between two tries to reach a Redis that is down."""
SETTLED_S = 30.0

_log = structlog.get_logger(__name__)


class WakeUpWorker(SimpleWorker):
    """A SimpleWorker that comes back soon after Redis does, and whom nobody can command through Redis.

    RQ stops a worker by an exception that the signal's handler raises wherever the worker is just then. Told before the
    worker works, or swallowed by whoever catches everything, it would be lost; so the worker also remembers, and looks.
    """

    max_connection_wait_time = RECONNECT_PAUSE_S_MAX
    dequeue_timeout = JOB_WAIT_S

    def __init__(self, queues: list[str], *, stop: Stop, **more: Any) -> None:
        super().__init__(queues, **more)
        self._stop = stop

    def request_stop(self, signum: int, frame: Any) -> None:
        """Remember it first."""
        self._stop.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def heartbeat(self, *arguments: Any, **more: Any) -> None:
        """Tell Redis that the worker lives, unless it is to stop. Raises StopRequested between two jobs."""
        if self._stop.is_set() and self.get_state() != WorkerStatus.BUSY:
            raise StopRequested
        super().heartbeat(*arguments, **more)

    def subscribe(self) -> None:
        """Listen to no commands."""

    def unsubscribe(self) -> None:
        """Nothing was listened to."""

    def set_shutdown_requested_date(self) -> None:
        """Note in Redis that the worker was told to stop, if Redis can be reached: the job must not fail for it."""
        with suppress(redis.RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]


def open_worker_redis(url: str) -> redis.Redis:
    """Return a client for one worker alone: it may block for long, and repeats a command a few times.

    A repeated command can take a wake-up off the queue twice; that costs time, and the sweeper makes up for it.
    """
    backoff = ExponentialBackoff(cap=COMMAND_PAUSE_S_MAX, base=COMMAND_PAUSE_S_MIN)
    return client_for(
        url,
        retry=Retry(backoff, COMMAND_RETRIES_MAX, supported_errors=(redis.ConnectionError,)),
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        # A unix socket has no keepalive, and redis-py refuses the very word for one.
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
    )


def serve(queue_name: str, connection: redis.Redis, job_class: type[Job]) -> None:
    """Run the queue's jobs until SIGTERM or SIGINT; the job that runs then is finished first.

    Must be called in the main thread: RQ's limit on a job's time is a signal.
    """
    stop = Stop()
    pause_s = RECONNECT_PAUSE_S_MIN
    with suppress(StopRequested):
        while not stop.is_set():
            stop.on_signals()
            began_s = time.monotonic()
            _work(queue_name, connection, job_class, stop)
            stop.on_signals()
            # RQ gave up, most likely on a Redis that went away.
            pause_s = (
                RECONNECT_PAUSE_S_MIN
                if time.monotonic() - began_s > SETTLED_S
                else min(pause_s * 2, RECONNECT_PAUSE_S_MAX)
            )
            stop.wait(pause_s)


def _work(queue_name: str, connection: redis.Redis, job_class: type[Job], stop: Stop) -> None:
    """Work until told to stop, or RQ gives up."""
    try:
        worker = WakeUpWorker(
            [queue_name],
            stop=stop,
            connection=connection,
            job_class=job_class,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_S,
            maintenance_interval=MAINTENANCE_INTERVAL_S,
            log_job_description=False,
        )
        worker.work(logging_level="WARNING", with_scheduler=False)
    except redis.RedisError as error:
        _log.warning("queue-unreachable", queue=queue_name, error=type(error).__name__)
