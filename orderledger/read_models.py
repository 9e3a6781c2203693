"""Look after the read models from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import redis
import sqlalchemy as sa

from ledger import log
from ledger.errors import BadSetting, ReadUnavailable
from ledger.reading import read
from orderledger.opening import opened_engine
from projections import diff as comparison
from projections import rebuild as rebuilding
from projections.catalogue import FOLDS
from projections.redis_clients import open_redis, reading
from projections.settings import ProjectionSettings
from projections.status import status as status_of
from projections.steps import Unappliable


def status(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the head, and each read model with its position, lag and state. Raises ReadUnavailable."""
    client = _client(environment)
    with opened_engine(environment) as engine:

        def look(connection: sa.Connection) -> dict[str, Any]:
            found = [asdict(each) for each in status_of(client, connection)]
            return {"head": log.head(connection).position, "projections": found}

        return read(engine, look)


def rebuild(environment: Mapping[str, str], name: str) -> int:
    """Rebuild a read model and return the position it then reflects. Raises BadSetting for an unknown name."""
    _ensure_known(name)
    client = _client(environment)
    with opened_engine(environment) as engine, reading():
        try:
            return rebuilding.rebuild(engine, client, name)
        except (Unappliable, rebuilding.RebuildLost) as error:
            raise ReadUnavailable(reason=str(error)) from error


def diff(environment: Mapping[str, str], name: str) -> dict[str, Any]:
    """Return position and differences of a read model and a replay. Raises BadSetting for an unknown name."""
    _ensure_known(name)
    client = _client(environment)
    with opened_engine(environment) as engine, reading():
        found = comparison.diff(engine, client, name)
    return {"name": name, **asdict(found)}


def _client(environment: Mapping[str, str]) -> redis.Redis:
    settings = ProjectionSettings.from_environment(environment)
    return open_redis(settings.redis_url, timeout_s=settings.redis_timeout_s)


def _ensure_known(name: str) -> None:
    if name not in FOLDS:
        raise BadSetting(variable="NAME", problem=f"no read model {name!r}; there are {', '.join(FOLDS)}")
