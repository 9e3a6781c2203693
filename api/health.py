"""Whether the service lives, whether it is ready, and its figures for Prometheus."""

from __future__ import annotations

from typing import Any

import redis
import sqlalchemy as sa

from api.metrics import CONTENT_TYPE
from api.routing import PUBLIC, Answer, Call, Routes
from api.shapes import HealthAnswer, ReadinessAnswer
from ledger import log, revisions, schema
from ledger.database import are_split
from ledger.errors import ReadUnavailable, UnsafeServer
from ledger.reading import read
from ledger.safety.server import ensure_kept
from projections.status import status

routes = Routes("health")


@routes.get("/healthz", permission=PUBLIC, summary="Is the process alive", answers={200: HealthAnswer()})
def health(call: Call) -> Answer:
    """Answer at all."""
    return Answer(200, {"status": "alive"})


@routes.get(
    "/readyz",
    permission=PUBLIC,
    summary="Can it take commands and answer reads",
    answers={200: ReadinessAnswer(), 503: ReadinessAnswer()},
)
def ready(call: Call) -> Answer:
    """Check database, schema and Redis, and say how far behind each read model and each replica is.

    Replicas do not make it less ready: the primary answers for them. Without Redis, or the directory where it has a
    database of its own, the service is degraded, not down: commands are taken, balances come from the log. Draining, it still
    answers whatever is asked, but no longer wants to be.
    """
    checks: dict[str, Any] = {}
    checks["database"], head = _database(call)
    if are_split(call.services.engine, call.services.directory.engine):
        checks["directory"] = _directory(call)
    checks["redis"], models = _read_models(call)
    is_ready = checks["database"]["ok"]
    words = "degraded" if is_ready else "unavailable"
    if all(check["ok"] for check in checks.values()):
        words = "ready"
    if call.services.draining.is_on:
        is_ready, words = False, "draining"
    body = {"status": words, "checks": checks, "head": head, "projections": models, "replicas": _replicas(call)}
    return Answer(200 if is_ready else 503, body, {} if is_ready else {"Retry-After": "1"})


@routes.get(
    "/metrics",
    permission=PUBLIC,
    summary="Figures of this process, for Prometheus",
    answers={200: None},
    media_types=("text/plain",),
)
def metrics(call: Call) -> Answer:
    """Return the figures of this process."""
    return Answer(200, call.services.metrics.exposition(call.services), media_type=CONTENT_TYPE)


def _database(call: Call) -> tuple[dict[str, Any], int | None]:
    accepted = call.services.ledger_settings.allow_unsafe

    def look(connection: sa.Connection) -> tuple[int, bool]:
        if connection.dialect.name != "sqlite":
            ensure_kept(lambda query: connection.execute(sa.text(query)).all(), accepted)
        # A newer schema that says it works with this code is a release that is under way.
        return log.head(connection).position, revisions.fits(connection, "log", call.services.wanted_schema)

    try:
        position, fits = read(call.services.engine, look)
        # An update that changes nothing still needs the right and the room to write.
        with call.services.engine.execution_options(write=True).connect() as connection:
            connection.execute(sa.update(schema.log_head).where(schema.log_head.c.id == 0).values(position=0))
            connection.rollback()
    except UnsafeServer:
        return {"ok": False, "problem": "the database is not set up safely: run orderledger doctor"}, None
    except (ReadUnavailable, sa.exc.SQLAlchemyError):
        return {"ok": False, "problem": "the database cannot be reached or takes no writes"}, None
    if not fits:
        return {"ok": False, "problem": "the schema is not the current one: run orderledger db upgrade"}, position
    return {"ok": True}, position


def _directory(call: Call) -> dict[str, Any]:
    # Commands of those who are known go on without it.
    try:
        revision = read(call.services.directory.engine, lambda connection: revisions.current(connection, "directory"))
    except ReadUnavailable:
        return {"ok": False, "problem": "the directory's database cannot be reached"}
    if revision != revisions.head("directory"):
        return {"ok": False, "problem": "the schema is not the current one: run orderledger db upgrade"}
    return {"ok": True}


def _replicas(call: Call) -> list[dict[str, Any]]:
    # Without addresses: anyone may ask.
    return [
        {
            "name": each.name,
            "position": each.position,
            "lag_events": each.lag_events,
            "lag_s": None if each.lag_s is None else round(each.lag_s, 3),
            "problem": each.problem,
        }
        for each in call.services.replicas.states()
    ]


def _read_models(call: Call) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        found = read(call.services.engine, lambda connection: status(call.services.redis, connection))
    except (ReadUnavailable, redis.RedisError):
        return {"ok": False, "problem": "Redis or the database cannot be reached"}, []
    models = [
        {
            "name": each.name,
            "position": each.position,
            "lag_events": each.lag_events,
            "lag_s": round(each.lag_s, 3),
            "state": each.state,
        }
        for each in found
    ]
    return {"ok": True}, models
