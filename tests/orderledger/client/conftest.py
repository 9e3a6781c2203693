"""The client against the whole service, in real processes on MariaDB and Redis, one for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client_place import Place
from orderledger.client import Client
from running_service import running
from servers import PrivateMariaDB, PrivateRedis


@pytest.fixture(scope="module")
def place(
    mariadb: PrivateMariaDB, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Place]:
    """The service, with a customer who has 1,000.00 and a product that takes an hour."""
    data: Path = tmp_path_factory.mktemp("data")
    name = f"client_{abs(hash(request.node.nodeid)) % 10**9}"
    with PrivateRedis() as redis:
        environment = {
            "ORDERLEDGER_DATA": str(data),
            "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
            "ORDERLEDGER_DATABASE_URL": mariadb.create_database(name),
            "ORDERLEDGER_REDIS_URL": redis.url(),
            "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
            "ORDERLEDGER_EVENT_STREAM_S": "2",
        }
        with running(environment) as service:
            key = service.api_key()
            with Client(service.address, api_key=key) as client:
                customer_id = client.customers.create(name="x")["id"]
                slow = {"executor": "simulated", "executor_settings": {"delay_s": 3600}}
                client.products.create(sku="hello", name="Hello", unit_price="0.10", **slow)
                client.recharge(customer_id, "1000.00")
            yield Place(service, key, customer_id)
    mariadb.drop_database(name)


@pytest.fixture
def ledger(place: Place) -> Iterator[Client]:
    """A client of the service."""
    with place.client() as client:
        yield client
