"""Two API processes behind the nginx that we ship, each restarted twice under load: clients that repeat nothing see no fault."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
import urllib3

import nginx
from ha.scores import Scores
from orderledger.client import Client
from rolling import QUICK, Tally, client_worker, load, lost_and_doubled, plain_worker
from running_service import Client as PlainClient
from running_service import Service, running
from servers import PrivateMariaDB, PrivateRedis
from submissions import prove

PLAIN_CLIENTS, PROGRAMS = 6, 2
ROUNDS = 2
CALM_S = 2.0

pytestmark = pytest.mark.skipif(nginx.program() is None, reason="nginx is not installed: apt-get install nginx-light")


@pytest.fixture
def environment(mariadb_url: str, redis_server: PrivateRedis, tmp_path: Path) -> dict[str, str]:
    redis_server.flush()
    return {
        "ORDERLEDGER_DATA": str(tmp_path),
        "ORDERLEDGER_SECRET_KEY": "of rolling restarts, 0123456789 abcdef",
        "ORDERLEDGER_DATABASE_URL": mariadb_url,
        "ORDERLEDGER_REDIS_URL": redis_server.url(),
        "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
        "ORDERLEDGER_DRAIN_NOTICE_S": "2",
        "ORDERLEDGER_TRUSTED_PROXIES": "1",
    }


def trusting(front: nginx.Nginx, key: str) -> PlainClient:
    client = PlainClient(front.address, key)
    client.trust(str(front.certificate))
    return client


def test_a_rolling_restart_behind_nginx_shows_no_client_a_fault(
    environment: dict[str, str], mariadb: PrivateMariaDB, mariadb_url: str, scores: Scores
) -> None:
    tally, programs = Tally(), Tally()
    with running(environment, apis=2) as service:
        key = service.api_key()
        with (
            nginx.in_front_of([each.removeprefix("http://") for each in service.addresses]) as front,
            Client(front.address, api_key=key, tls=ssl.create_default_context(cafile=front.certificate)) as ledger,
        ):
            customer_id = ledger.customers.create(name="x", credit_limit="1000000")["id"]
            ledger.products.create(sku="quick", name="Quick", unit_price="1", **QUICK)
            plain = trusting(front, key)
            started_s = time.monotonic()

            workers = [plain_worker(plain, customer_id, seed, tally) for seed in range(PLAIN_CLIENTS)]
            with load([*workers, *(client_worker(ledger, customer_id, programs) for _ in range(PROGRAMS))]):
                for _ in range(ROUNDS):
                    for role in ("api", "api 2"):
                        time.sleep(CALM_S)
                        service.restart(role)
                time.sleep(CALM_S)
                loaded_s = time.monotonic() - started_s

            errors = front.errors()
        engine = sa.create_engine(mariadb_url)
        prove(engine)
        for each in (tally, programs):
            lost, doubled = lost_and_doubled(engine, each)
            scores.add(
                "rolling restart behind nginx" + (", clients of ours" if each is programs else ", no retries"),
                acknowledged=len(each.positions),
                lost=lost,
                doubled=doubled,
                note=f"{loaded_s:.0f} s, longest {each.longest_s:.1f} s, statuses {dict(each.statuses)}",
            )
            assert (lost, doubled) == (0, 0)
        engine.dispose()
    assert loaded_s > 20
    assert (tally.failures, programs.failures) == ([], []), errors
    assert not [status for status in tally.statuses if status >= 500], (tally.statuses, errors)
    assert max(tally.longest_s, programs.longest_s) < 10


def test_nginx_passes_on_what_the_service_needs_and_answers_in_its_manner(environment: dict[str, str]) -> None:
    with running(environment, apis=2) as service:
        key = service.api_key()
        with nginx.in_front_of([each.removeprefix("http://") for each in service.addresses]) as front:
            client = trusting(front, key)
            customer_id = client.post("/v1/customers", {"name": "x"}).body["id"]

            too_large = client.post(f"/v1/customers/{customer_id}/recharges", {"amount": "1", "memo": "x" * (2 << 20)})
            assert (too_large.status, too_large.body["code"]) == (413, "too-large")
            assert client.get("/metrics").status == 404
            named = client.get(f"/v1/customers/{customer_id}/balance", X_Request_Id="req_mine")
            assert (named.status, named.headers["X-Request-Id"]) == (200, "req_mine")
            assert "max-age" in named.headers["Strict-Transport-Security"]
            moved = urllib3.request("GET", front.plain_address + "/healthz", redirect=False, retries=False)
            assert moved.status == 308

            with Client(front.address, api_key=key, tls=ssl.create_default_context(cafile=front.certificate)) as ledger:
                _events_come_at_once(ledger, customer_id)
            _service_away(service, client, customer_id)


def _events_come_at_once(ledger: Client, customer_id: str) -> None:
    feed = ledger.follow(0, customer_id=customer_id)
    assert next(feed).type == "account.opened"
    ledger.recharge(customer_id, "1.00")
    started_s = time.monotonic()
    assert next(feed).type == "recharge.posted"
    assert time.monotonic() - started_s < 2


def _service_away(service: Service, client: PlainClient, customer_id: str) -> None:
    for name in ("api", "api 2"):
        service.hold(name)
    answer = client.post(f"/v1/customers/{customer_id}/recharges", {"amount": "1"})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (
        json.loads(answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body))["code"]
        == "outcome-unknown"
    )
    for name in ("api", "api 2"):
        service.release(name)
