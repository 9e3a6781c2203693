"""Where a whole service keeps its data in a test: both pairs of engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import PrivateMariaDB, PrivateRedis


@pytest.fixture(params=["sqlite and valkey", "mariadb and redis"])
def surroundings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a service with empty databases of its own."""
    quick = {"ORDERLEDGER_SWEEP_INTERVAL_S": "1", "ORDERLEDGER_EXECUTOR_ALLOW_PRIVATE": "true"}
    common = {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
        **quick,
    }
    if request.param == "sqlite and valkey":
        with PrivateRedis(engine="valkey") as redis:
            yield {**common, "ORDERLEDGER_REDIS_URL": redis.url()}
        return
    mariadb: PrivateMariaDB = request.getfixturevalue("mariadb")
    url = request.getfixturevalue("mariadb_url")
    assert mariadb is not None
    with PrivateRedis(engine="redis") as redis:
        yield {**common, "ORDERLEDGER_DATABASE_URL": url, "ORDERLEDGER_REDIS_URL": redis.url()}
