"""An administrator's front with sessions in each of the stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from api.application import create_app
from api.services import Services
from directory_front import Front
from ledger.directory.access import create_api_keys

Opening = Callable[..., Front]


@pytest.fixture
def open_people(sqlite_ledger_url: str, redis_url: str, tmp_path: Path) -> Iterator[Opening]:
    """Opens the service anew on the same databases, as a restart does; keywords are settings."""
    keys: list[str] = []
    with ExitStack() as stack:

        def opened(**settings: Any) -> Front:
            environment = {
                "ORDERLEDGER_DATABASE_URL": sqlite_ledger_url,
                "ORDERLEDGER_REDIS_URL": redis_url,
                "ORDERLEDGER_SESSION_FILE_PATH": str(tmp_path / "sessions"),
                "ORDERLEDGER_SECRET_KEY": "of the tests",
                **{f"ORDERLEDGER_{name.upper()}": str(value) for name, value in settings.items()},
            }
            app = create_app(environment)
            services: Services = app.extensions["services"]()
            stack.callback(services.close)
            if not keys:
                ((_, secret),) = create_api_keys(services.directory, [{"name": "root", "role": "admin"}])
                keys.append(secret)
            return Front(app, services, keys[0])

        yield opened


@pytest.fixture(params=["redis", "database", "file"])
def people(request: pytest.FixtureRequest, open_people: Opening) -> Front:
    """An administrator's front, once with each session store."""
    return open_people(session_store=request.param)


@pytest.fixture
def front(open_people: Opening) -> Front:
    """An administrator's front with sessions in Redis."""
    return open_people()
