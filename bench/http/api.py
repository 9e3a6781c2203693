"""The ledger's API under measurement: its database with accounts, a product and a key, and its server processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.http.servers import THREADS, Server, serve_api
from bench.ledger_way import LedgerWay
from bench.server import Servers
from ledger.database import open_engine
from ledger.directory import access, products
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings
from submissions import prove

PRODUCT = {"sku": "bench", "name": "Bench", "unit_price": "0.01", "executor": "simulated", "currency": "CNY"}
ROLE = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredApi:
    """A running API; `prove` folds its whole log anew and returns how many commands it holds."""

    server: Server
    token: str
    environment: Mapping[str, str]
    prove: Callable[[], int]


@contextlib.contextmanager
def measured_api(servers: Servers, *, accounts: int) -> Iterator[MeasuredApi]:
    """Run the API on a fresh database as long as the context lasts."""
    with servers.mariadb.database() as url:
        way = LedgerWay(url, accounts=accounts, callers=1)
        way.create()
        way.close()
        engine = open_engine(url, LedgerSettings(database_url=url))
        directory = Directory(engine)
        [(_, token)] = access.create_api_keys(directory, [{"name": "bench", "role": ROLE}])
        products.create(directory, [PRODUCT])
        servers.redis.flush()
        environment = {
            "ORDERLEDGER_DATABASE_URL": url,
            "ORDERLEDGER_REDIS_URL": servers.redis.url(),
            "ORDERLEDGER_SECRET_KEY": "of the benchmark, 0123456789 abcdef",
            "ORDERLEDGER_API_THREADS": str(THREADS),
        }
        try:
            with serve_api(environment) as server:
                yield MeasuredApi(
                    server=server, token=token, environment=environment, prove=lambda: prove(engine) - accounts
                )
        finally:
            engine.dispose()
