"""Sixteen clients and two API processes on MariaDB: what the log then holds is checked without our own code."""

import os
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from running_service import Answer, Client, running
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove

CLIENTS, CUSTOMERS = 16, 200
COMMANDS = int(os.environ.get("LOAD_COMMANDS", "2400"))
"""`make campaign` sends more of them."""
CALLERS = 50


@pytest.fixture
def environment(
    mariadb: PrivateMariaDB, mariadb_url: str, redis_server: PrivateRedis, tmp_path: Path
) -> dict[str, str]:
    redis_server.flush()
    return {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of the scenarios, 0123456789 abcdef",
        "ORDERLEDGER_DATABASE_URL": mariadb_url,
        "ORDERLEDGER_REDIS_URL": redis_server.url(),
    }


def mixed(
    client: Client, customers: list[str], seed: int, sent: list[tuple[str, str, dict[str, object], Answer]]
) -> None:
    """Send this client's share of recharges, deductions, orders and cancellations, keeping each with its answer."""
    chance, orders = random.Random(seed), []
    for number in range(COMMANDS // CLIENTS):
        customer_id, kind, key = chance.choice(customers), chance.random(), f"load-{seed}-{number}"
        path, body = f"/v1/customers/{customer_id}/deductions", {"amount": f"{chance.randint(1, 900) / 100:.2f}"}
        if kind < 0.35:
            path = f"/v1/customers/{customer_id}/recharges"
        elif kind < 0.65:
            path, body = (
                "/v1/orders",
                {"customer_id": customer_id, "product": "slow", "quantity": chance.randint(1, 99)},
            )
        elif kind < 0.75 and orders:
            path, body = f"/v1/orders/{chance.choice(orders)}/cancellation", {}
        answer = client.post(path, body, key=key)
        if path == "/v1/orders" and answer.status == 201:
            orders.append(answer.body["order"]["id"])
        sent.append((path, key, body, answer))


def in_threads(count: int, run: object) -> None:
    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.timeout(400)
def test_thousands_of_mixed_commands_leave_a_log_that_proves_itself(environment: dict[str, str]) -> None:
    with running(environment, api_workers=2) as service:
        service.kill("worker agent")  # Cancelling a placed order is what is tested here, not executing it.
        client = service.client()
        made = client.post("/v1/customers/bulk", [{"name": f"客户 {number}"} for number in range(CUSTOMERS)])
        customers = [each["id"] for each in made.body["data"]]
        slow = {"executor": "simulated", "executor_settings": {"delay_s": 86_000}}
        client.post("/v1/products", {"sku": "slow", "name": "Slow", "unit_price": "0.05", **slow})
        sent: list[tuple[str, str, dict[str, object], Answer]] = []

        in_threads(CLIENTS, lambda seed: mixed(client, customers, seed, sent))

        statuses = Counter(answer.status for *_, answer in sent)
        assert len(sent) == COMMANDS - COMMANDS % CLIENTS
        assert set(statuses) <= {201, 202, 409}, statuses
        engine = sa.create_engine(environment["ORDERLEDGER_DATABASE_URL"])
        events = prove(engine)
        assert events >= statuses[201]

        # Every key again: the same status and the same body, and nothing new in the log.
        def repeat(share: int) -> None:
            for path, key, body, first in sent[share::CLIENTS]:
                again = client.post(path, body, key=key)
                if first.status == 202:
                    continue
                assert again.status == first.status
                assert again.headers["Idempotent-Replayed"] == "true"
                assert {**again.body, "request_id": None} == {**first.body, "request_id": None}

        in_threads(CLIENTS, repeat)
        assert prove(engine) >= events

        rich = client.post("/v1/customers", {"name": "rich"}).body["id"]
        answers: list[Answer] = []
        path = f"/v1/customers/{rich}/recharges"
        in_threads(CALLERS, lambda _: answers.append(client.post(path, {"amount": "0.01"}, key="one key")))
        assert {answer.body["position"] for answer in answers} == {answers[0].body["position"]}
        assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1

        answers.clear()
        path = f"/v1/customers/{rich}/deductions"
        in_threads(CALLERS, lambda _: answers.append(client.post(path, {"amount": "0.01"})))
        assert Counter(answer.status for answer in answers) == {201: 1, 409: CALLERS - 1}
        prove(engine)
        engine.dispose()
