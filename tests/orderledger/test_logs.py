"""The logs of real processes: JSON lines with ids that go from a request to its executor, and nothing private in them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from executor_stub import Call, ExecutorStub, Reply
from running_service import Client, Service, running
from servers import PrivateMariaDB, PrivateRedis

PLANTED = {
    "database password": "planted-db-pass-8271",
    "redis password": "planted-redis-pass-1199",
    "secret key": "planted-secret-key-0123456789-abcdefgh",
    "name": "王芳芳plantedname",
    "mobile": "13812340987",
    "contact": "planted-contact@example.org",
    "memo": "plantedmemo of a customer",
    "params": "plantedparam value",
    "reason": "planted reason of a person",
    "reference": "plantedreference-4711",
    "executor's answer": "planted words of an executor",
    "executor's secret": "whsec_cGxhbnRlZC1zZWNyZXQtb2YtYW4tZXhlY3V0b3I=",
    "login": "plantedusername",
    "password": "planted-pass-word-77",
    "key": "planted-idempotency-key",
    "agent": "PlantedBrowser/9",
    "token": "olk_plantedtokenplantedtoken",
    "cookie": "plantedcookievalue",
    "query": "plantedquerytext",
    "path": "plantedpathpart",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A running service, its executor, its databases and what all processes wrote."""

    service: Service
    stub: ExecutorStub
    mariadb: PrivateMariaDB
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("logs")
    log = data / "all.log"
    with (
        PrivateMariaDB() as mariadb,
        PrivateRedis() as redis,
        closing(ExecutorStub()) as stub,
    ):
        redis.client().config_set("requirepass", PLANTED["redis password"])
        mariadb.create_database("ledger")
        mariadb.execute(f"CREATE USER till@localhost IDENTIFIED BY '{PLANTED['database password']}'")
        mariadb.execute("GRANT ALL ON *.* TO till@localhost")
        url = mariadb.url("ledger").replace("root@", f"till:{PLANTED['database password']}@")
        environment = {
            "ORDERLEDGER_DATABASE_URL": url,
            "ORDERLEDGER_REDIS_URL": f"redis://:{PLANTED['redis password']}@127.0.0.1:{redis.port}/0",
            "ORDERLEDGER_SECRET_KEY": PLANTED["secret key"],
            "ORDERLEDGER_DATA": str(data),
            "ORDERLEDGER_ACCESS_LOG": "true",
            "ORDERLEDGER_LOG_LEVEL": "debug",
            "ORDERLEDGER_EXECUTOR_ALLOW_PRIVATE": "true",
            "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
            "ORDERLEDGER_METRICS_INTERVAL_S": "0.5",
        }
        with running(environment, log=log) as service:
            yield Scene(service, stub, mariadb, log)


def customer_of(client: Client) -> str:
    body = {"name": PLANTED["name"], "mobile": PLANTED["mobile"]}
    answer = client.post("/v1/customers", body)
    assert answer.status == 201, answer.body
    made: str = answer.body["id"]
    return made


def product(client: Client, sku: str, url: str) -> None:
    settings = {"url": url, "secret": PLANTED["executor's secret"]}
    body = {"sku": sku, "name": sku, "unit_price": "0.10", "executor": "http", "executor_settings": settings}
    assert client.post("/v1/products", body).status == 201


def test_ids_go_from_a_request_to_the_log_the_executor_and_every_line(scene: Scene) -> None:
    client = scene.service.client()
    customer = customer_of(client)
    product(client, "flow", scene.stub.url)
    client.post(f"/v1/customers/{customer}/recharges", {"amount": "100.00"})

    placed = client.request(
        "POST", "/v1/orders", {"customer_id": customer, "product": "flow", "quantity": 10}, X_Request_Id="req_flow_1"
    )
    order_id = placed.body["order"]["id"]
    scene.service.wait_until(lambda: client.get(f"/v1/orders/{order_id}").body["status"] == "completed", s_max=20)

    events = client.get(f"/v1/orders/{order_id}").body["events"]
    feed = [each for each in client.get(f"/v1/events?customer_id={customer}").body["data"] if each["order_id"]]
    assert len(events) == 3
    assert {each["correlation_id"] for each in feed} == {"req_flow_1"}
    calls = [call for call in scene.stub.calls if call.headers.get("x-request-id") == "req_flow_1"]
    assert len(calls) == 1
    (line,) = [each for each in scene.lines() if each.get("request_id") == "req_flow_1"]
    assert {name: line[name] for name in ("event", "role", "method", "route", "status", "position")} == {
        "event": "request", "role": "api", "method": "POST", "route": "place_order", "status": 201,
        "position": placed.body["position"],
    }  # fmt: skip
    assert line["principal"].startswith("key:") and len(line["command"]) == 64
    assert 0 < line["seconds"] < 10 and line["bytes"] > 100


def test_every_process_is_seen_in_one_scrape(scene: Scene) -> None:
    def seen() -> set[tuple[str, str]]:
        text = urllib3.request("GET", f"{scene.service.address}/metrics").data.decode()
        return set(re.findall(r'^(\w+)\{.*role="(\w+)"', text, re.MULTILINE))

    wanted = {("process_open_fds", role) for role in ("api", "agent", "projections", "maintenance")}
    wanted |= {("orderledger_maintenance_seconds_count", "maintenance"), ("orderledger_executor_calls_total", "agent")}
    scene.service.wait_until(lambda: wanted <= seen(), s_max=15)


def test_nothing_private_gets_into_any_log_by_any_door(scene: Scene) -> None:
    client = scene.service.client()
    address = scene.service.address
    everywhere = {
        "User-Agent": PLANTED["agent"],
        "Cookie": f"__Host-orderledger={PLANTED['cookie']}",
        "Referer": f"https://x/{PLANTED['path']}",
    }
    customer = customer_of(client)

    def behave(stub: ExecutorStub, call: Call) -> Reply:
        return Reply(document={"status": "failed", "reason": PLANTED["executor's answer"]})

    scene.stub.behaviour = behave
    product(client, "fails", scene.stub.url)
    product(client, "nobody", f"http://127.0.0.1:1/{PLANTED['path']}")
    recharge = f"/v1/customers/{customer}/recharges"
    client.post(
        recharge, {"amount": "50.00", "memo": PLANTED["memo"], "reference": PLANTED["reference"]}, key=PLANTED["key"]
    )
    order = {"customer_id": customer, "quantity": 1, "params": {"to": PLANTED["params"]}}
    for sku in ("fails", "nobody"):
        placed = client.post("/v1/orders", {**order, "product": sku})
        client.post(f"/v1/orders/{placed.body['order']['id']}/cancellation", {"reason": PLANTED["reason"]})
    refused = ({"amount": PLANTED["memo"]}, {PLANTED["name"]: 1}, [PLANTED["password"]])
    assert [client.post(recharge, each).status for each in refused] == [422, 422, 422]
    http = urllib3.PoolManager(headers=everywhere, retries=False)
    for path in (f"/v1/{PLANTED['path']}", f"/v1/orders?q={PLANTED['query']}", f"/?password={PLANTED['password']}"):
        http.request("GET", address + path, headers={**everywhere, "Authorization": f"Bearer {PLANTED['token']}"})
    http.request("POST", f"{address}/v1/session", json={"username": PLANTED["login"], "password": PLANTED["password"]})
    http.request("POST", f"{address}/v1/sms-codes", json={"mobile": PLANTED["mobile"]})
    http.request("POST", address + recharge, body=f'{{"amount": "{PLANTED["memo"]}'.encode())

    # Bugs and faults with what was sent in their hands: a table that is not there, connections that are cut.
    for table in ("customers", "details"):
        scene.mariadb.execute(f"RENAME TABLE {table} TO away", "ledger")
        client.post("/v1/customers", {"name": PLANTED["name"], "mobile": "13812340988"})
        client.post(recharge, {"amount": "1.00", "memo": PLANTED["memo"], "reference": PLANTED["reference"]})
        scene.mariadb.execute(f"RENAME TABLE away TO {table}", "ledger")
    for (thread,) in scene.mariadb.execute("SELECT id FROM information_schema.processlist WHERE user='till'"):
        scene.mariadb.execute(f"KILL {thread}")
    again = {"amount": "1.00", "memo": PLANTED["memo"]}
    scene.service.wait_until(lambda: client.post(recharge, again, key="again").status == 201, s_max=20)
    time.sleep(3)

    written = scene.log.read_text("utf-8")
    assert {
        door: text
        for door, text in PLANTED.items()
        if text in written or text.encode("unicode_escape").decode() in written
    } == {}
    lines = scene.lines()
    assert all("event" in each and "level" in each and "timestamp" in each for each in lines)
    assert any(each["event"] == "request-failed" and "exception" in each for each in lines), "a bug was logged"
    assert {each.get("role") for each in lines} >= {"api", "agent", "maintenance", "projections"}
