"""Processes that are stopped in order and started again while clients go on: nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from orderledger.client import Client
from rolling import QUICK, Tally, client_worker, load, lost_and_doubled
from running_service import running
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove

CLIENTS = 3


@pytest.mark.timeout(200)
def test_every_process_is_restarted_in_turn_and_no_program_sees_an_error(
    mariadb: PrivateMariaDB, mariadb_url: str, redis_server: PrivateRedis, tmp_path: Path
) -> None:
    redis_server.flush()
    environment = {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
        "ORDERLEDGER_DATABASE_URL": mariadb_url,
        "ORDERLEDGER_REDIS_URL": redis_server.url(),
        "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
        "ORDERLEDGER_DRAIN_NOTICE_S": "0.5",
    }
    tally = Tally()
    with running(environment, apis=2) as service:
        with Client(service.addresses, api_key=service.api_key()) as ledger:
            customer_id = ledger.customers.create(name="x", credit_limit="1000000")["id"]
            ledger.products.create(sku="quick", name="Quick", unit_price="1", **QUICK)

            with load([client_worker(ledger, customer_id, tally) for _ in range(CLIENTS)]):
                for role in ("api", "worker agent", "api 2", "worker projections"):
                    service.restart(role)

            service.wait_until(lambda: all(ledger.order(each).status == "completed" for each in tally.order_ids))
        engine = sa.create_engine(mariadb_url)
        prove(engine)
        with engine.connect() as connection:
            completed = connection.exec_driver_sql(
                "SELECT COUNT(*) FROM events WHERE type = 'order.completed'"
            ).scalar()

        assert tally.failures == []
        assert lost_and_doubled(engine, tally) == (0, 0)
        assert len(set(tally.positions)) == len(tally.positions) > 100
        assert completed == len(tally.order_ids)
        assert tally.longest_s < 10
        engine.dispose()
