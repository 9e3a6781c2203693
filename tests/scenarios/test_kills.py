"""Kill -9 of each part in the middle of the work, and an emptied Redis: nothing is lost, nothing is doubled."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from orderledger.client import Client
from running_service import Service, running
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove

CLIENTS, ORDERS = 4, 15


@dataclass(frozen=True, slots=True)
class Shop:
    """A whole service on servers of its own, which may be killed."""

    service: Service
    ledger: Client
    mariadb: PrivateMariaDB
    redis: PrivateRedis
    url: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One service for all faults: it has to live through one after the other."""
    with PrivateMariaDB() as mariadb, PrivateRedis() as redis:
        environment = {
            "ORDERLEDGER_DATA": str(tmp_path_factory.mktemp("killed")),
            "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
            "ORDERLEDGER_DATABASE_URL": mariadb.create_database("killed"),
            "ORDERLEDGER_REDIS_URL": redis.url(),
            "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
            "ORDERLEDGER_LEASE_S": "4",
            "ORDERLEDGER_EXECUTOR_TIMEOUT_S": "1",
        }
        with running(environment) as service, service.ledger(timeout_s=60) as ledger:
            quick = {"executor": "simulated", "executor_settings": {"delay_s": 0.1}}
            ledger.products.create(sku="quick", name="Quick", unit_price="0.10", **quick)
            yield Shop(service, ledger, mariadb, redis, environment["ORDERLEDGER_DATABASE_URL"])


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
def test_a_kill_in_the_middle_loses_and_doubles_nothing(fault: str, shop: Shop) -> None:
    service, ledger = shop.service, shop.ledger
    customer_id = ledger.customers.create(name="x")["id"]
    done: list[str] = []
    workers = [threading.Thread(target=work, args=(ledger, customer_id, done)) for _ in range(CLIENTS)]
    for worker in workers:
        worker.start()

    for _ in range(2):
        time.sleep(0.6)
        faults(shop)[fault]()
    for worker in workers:
        worker.join()

    assert len(set(done)) == CLIENTS * ORDERS
    service.wait_until(lambda: all_ended(ledger, done), s_max=60)
    service.wait_until(lambda: is_up(service), s_max=60)
    engine = sa.create_engine(shop.url)
    prove(engine)
    with engine.connect() as connection:
        of_customer = sa.text("SELECT type, COUNT(*) FROM events WHERE account_id = :id GROUP BY type")
        counts: dict[str, int] = dict(connection.execute(of_customer, {"id": customer_id}).all())
    # A runner that is killed leaves its attempt behind, and another takes the order with the next one.
    assert counts.pop("order.started") >= CLIENTS * ORDERS
    each_once = dict.fromkeys(("recharge.posted", "order.placed", "order.completed"), CLIENTS * ORDERS)
    assert counts == {"account.opened": 1, **each_once}
    engine.dispose()
    for name in ("balances", "orders", "transactions"):
        assert json.loads(service.run("projections", "diff", name, "--json"))["differences"] == []
    balance = ledger.balance(customer_id)
    assert (balance.available, balance.held) == (0, 0)


def faults(shop: Shop) -> dict[str, Callable[[], object]]:
    def restart_database() -> None:
        shop.mariadb.kill()
        time.sleep(0.5)
        shop.mariadb.restart()

    def restart_redis() -> None:
        shop.redis.kill()
        time.sleep(0.5)
        shop.redis.restart()

    return {
        "api": lambda: shop.service.kill("api"),
        "worker agent": lambda: shop.service.kill("worker agent"),
        "worker projections": lambda: shop.service.kill("worker projections"),
        "database": restart_database,
        "redis emptied": shop.redis.flush,
        "redis killed": restart_redis,
    }


def all_ended(ledger: Client, order_ids: list[str]) -> bool:
    return all(ledger.order(each).status == "completed" for each in order_ids)


def is_up(service: Service) -> bool:
    try:
        return service.caught_up()
    except Exception:  # noqa: BLE001 - the command says why on standard error while a server is still away
        return False
