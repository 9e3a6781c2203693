"""How the service is running: queues and workers, and the check of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marshmallow import fields
from rq import Queue, Worker
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from api import doctor
from api.routing import Answer, Call, Routes
from api.services import Services
from api.shapes import Shown
from ledger.clock import rfc3339
from ledger.safety.checks import BAD, GOOD, WARNING
from projections.jobs import queue_name
from projections.redis_clients import reading
from projections.wake import TARGETS

routes = Routes("operations")


class QueueAnswer(Shown):
    """A queue: wake-ups that wait, run, or failed within the last hour."""

    name = fields.String()
    target = fields.String()
    waiting = fields.Integer()
    running = fields.Integer()
    failed = fields.Integer()


class WorkerAnswer(Shown):
    """A worker process, and what it has done since it started."""

    name = fields.String()
    queues = fields.List(fields.String())
    state = fields.String()
    host = fields.String(allow_none=True)
    pid = fields.Integer(allow_none=True)
    started_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    seen_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    succeeded = fields.Integer()
    failed = fields.Integer()


class QueuesAnswer(Shown):
    """Queues and workers."""

    queues = fields.List(fields.Nested(QueueAnswer))
    workers = fields.List(fields.Nested(WorkerAnswer))


class FindingAnswer(Shown):
    """What a check found: good, a warning or bad, and how to mend it."""

    check = fields.String()
    state = fields.String(metadata={"enum": [GOOD, WARNING, BAD]})
    finding = fields.String()
    mend = fields.String()


class DoctorAnswer(Shown):
    """Every check."""

    findings = fields.List(fields.Nested(FindingAnswer))


@routes.get(
    "/v1/queues",
    permission="operations.read",
    summary="Queues of wake-ups, and the workers on them",
    answers={200: QueuesAnswer()},
    errors=(503,),
)
def read_queues(call: Call) -> Answer:
    """Return counts and workers. Looking changes no queue; of workers that are gone RQ forgets the names."""
    services: Services = call.services
    with reading():
        queues = [_queue(services, target) for target in TARGETS]
        workers = Worker.all(connection=services.queue_redis, serializer=JSONSerializer)
    ours = {each["name"] for each in queues}
    shown = [_worker(each) for each in workers if ours & set(each.queue_names())]
    return Answer(200, {"queues": queues, "workers": sorted(shown, key=_order)})


@routes.get(
    "/v1/doctor",
    permission="operations.read",
    summary="Check settings and servers against what is safe",
    answers={200: DoctorAnswer()},
)
def read_doctor(call: Call) -> Answer:
    """Return every check's finding, as this process sees it."""
    services: Services = call.services
    settings = services.projection_settings
    # One server may be both.
    clients = {settings.redis_url: services.redis, settings.queue_redis_url: services.queue_redis}
    findings = doctor.examine(
        services.environment,
        log=services.engine,
        directory=services.directory.engine,
        clients=list(clients.values()),
    )
    return Answer(200, {"findings": findings})


def _queue(services: Services, target: str) -> dict[str, Any]:
    name, connection = queue_name(target), services.queue_redis
    return {
        "name": name,
        "target": target,
        "waiting": Queue(name, connection=connection, serializer=JSONSerializer).count,
        "running": StartedJobRegistry(name, connection=connection).get_job_count(cleanup=False),
        "failed": FailedJobRegistry(name, connection=connection).get_job_count(cleanup=False),
    }


def _worker(each: Any) -> dict[str, Any]:
    return {
        "name": each.name,
        "queues": each.queue_names(),
        "state": str(each.get_state()),
        "host": each.hostname,
        "pid": each.pid,
        "started_at": _time(each.birth_date),
        "seen_at": _time(each.last_heartbeat),
        "succeeded": each.successful_job_count,
        "failed": each.failed_job_count,
    }


def _time(when: datetime | None) -> str | None:
    return None if when is None else rfc3339(round(when.timestamp() * 1_000_000))


def _order(worker: dict[str, Any]) -> tuple[Sequence[str], str]:
    return worker["queues"], worker["name"]
