"""A ledger on SQLite and what keeps its read models, over a real Redis and a real Valkey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from projections.context import Context
from projections.redis_clients import open_redis
from projections.settings import ProjectionSettings
from servers import PrivateRedis
from submissions import Desk


@pytest.fixture
def engine(sqlite_ledger_url: str) -> Iterator[sa.Engine]:
    engine = open_engine(sqlite_ledger_url, LedgerSettings())
    yield engine
    engine.dispose()


@pytest.fixture
def desk(engine: sa.Engine) -> Iterator[Desk]:
    ledger = Ledger(engine, LedgerSettings())
    yield Desk(ledger, engine)
    ledger.close()


@pytest.fixture
def use(engine: sa.Engine, redis_url: str) -> Iterator[Context]:
    """What a drain uses, over an empty Redis."""
    yield from context_on(engine, redis_url)


def context_on(engine: sa.Engine, url: str) -> Iterator[Context]:
    client = open_redis(url)
    settings = ProjectionSettings(redis_url=url)
    with client:
        yield Context(engine=engine, redis=client, queue_redis=client, settings=settings)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[PrivateRedis]:
    with PrivateRedis(engine="valkey") as server:
        yield server


@pytest.fixture(params=["redis", "valkey"])
def either_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty Redis or Valkey; the test runs once on each."""
    server: PrivateRedis = request.getfixturevalue(f"{request.param}_server")
    server.flush()
    return server.url()
