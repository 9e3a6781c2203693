"""Kill -9 of each part in the middle of the work, and an emptied Redis: nothing is lost, nothing is doubled."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from orderledger.client import Client
from running_service import Service, running
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove

CLIENTS, ORDERS = 4, 15


@pytest.fixture
def own_mariadb() -> Iterator[PrivateMariaDB]:
    """A MariaDB to kill."""
    with PrivateMariaDB() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[PrivateRedis]:
    """A Redis to empty."""
    with PrivateRedis() as server:
        yield server


def work(ledger: Client, customer_id: str, done: list[str]) -> None:
    """Recharge and order, each command repeated with its key until it is settled."""
    for _ in range(ORDERS):
        ledger.recharge(customer_id, "1.00")
        placed = ledger.place_order("quick", 10, customer_id=customer_id)
        assert placed.order is not None
        done.append(placed.order.id)
        time.sleep(0.05)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "fault", ["api", "worker agent", "worker projections", "database", "redis emptied", "redis killed"]
)
def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    fault: str, own_mariadb: PrivateMariaDB, own_redis: PrivateRedis, tmp_path: Path
) -> None:
    environment = {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
        "ORDERLEDGER_DATABASE_URL": own_mariadb.create_database("killed"),
        "ORDERLEDGER_REDIS_URL": own_redis.url(),
        "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
        "ORDERLEDGER_LEASE_S": "4",
        "ORDERLEDGER_EXECUTOR_TIMEOUT_S": "1",
    }
    with running(environment) as service, service.ledger(timeout_s=60) as ledger:
        customer_id = ledger.customers.create(name="x")["id"]
        quick = {"executor": "simulated", "executor_settings": {"delay_s": 0.1}}
        ledger.products.create(sku="quick", name="Quick", unit_price="0.10", **quick)
        done: list[str] = []
        workers = [threading.Thread(target=work, args=(ledger, customer_id, done)) for _ in range(CLIENTS)]
        for worker in workers:
            worker.start()

        for _ in range(2):
            time.sleep(0.6)
            faults(service, own_mariadb, own_redis)[fault]()
        for worker in workers:
            worker.join()

        assert len(set(done)) == CLIENTS * ORDERS
        service.wait_until(lambda: all_ended(ledger, done), s_max=60)
        service.wait_until(lambda: is_up(service), s_max=60)
        engine = sa.create_engine(environment["ORDERLEDGER_DATABASE_URL"])
        prove(engine)
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT type, COUNT(*) FROM events GROUP BY type").fetchall()
        counts = {row[0]: row[1] for row in rows}
        # A runner that is killed leaves its attempt behind, and another takes the order with the next one.
        assert counts.pop("order.started") >= CLIENTS * ORDERS
        each_once = dict.fromkeys(("recharge.posted", "order.placed", "order.completed"), CLIENTS * ORDERS)
        assert counts == {"account.opened": 1, **each_once}
        engine.dispose()
        for name in ("balances", "orders", "transactions"):
            assert json.loads(service.run("projections", "diff", name, "--json"))["differences"] == []
        balance = ledger.balance(customer_id)
        assert (balance.available, balance.held) == (0, 0)


def faults(service: Service, mariadb: PrivateMariaDB, redis: PrivateRedis) -> dict[str, Callable[[], object]]:
    def restart_database() -> None:
        mariadb.kill()
        time.sleep(0.5)
        mariadb.restart()

    def restart_redis() -> None:
        redis.kill()
        time.sleep(0.5)
        redis.restart()

    return {
        "api": lambda: service.kill("api"),
        "worker agent": lambda: service.kill("worker agent"),
        "worker projections": lambda: service.kill("worker projections"),
        "database": restart_database,
        "redis emptied": redis.flush,
        "redis killed": restart_redis,
    }


def all_ended(ledger: Client, order_ids: list[str]) -> bool:
    return all(ledger.order(each).status == "completed" for each in order_ids)


def is_up(service: Service) -> bool:
    try:
        return service.caught_up()
    except Exception:  # noqa: BLE001 - the command says why on standard error while a server is still away
        return False
