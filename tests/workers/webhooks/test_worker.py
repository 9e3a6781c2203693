"""The whole way in real processes: a command over HTTP, a wake-up, a courier that is killed, the sweeper."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hook_receiver import HookReceiver
from running_service import running
from servers import PrivateRedis


@pytest.mark.timeout(180)
def test_a_posted_command_is_delivered_and_a_killed_worker_costs_repeats_only(
    tmp_path: Path, receiver: HookReceiver
) -> None:
    with PrivateRedis() as redis:
        environment = {
            "ORDERLEDGER_DATA": str(tmp_path),
            "ORDERLEDGER_DATABASE_URL": f"sqlite:///{tmp_path / 'ledger.sqlite'}",
            "ORDERLEDGER_REDIS_URL": redis.url(),
            "ORDERLEDGER_SECRET_KEY": "test",
            "ORDERLEDGER_SWEEP_INTERVAL_S": "1",
            "ORDERLEDGER_WEBHOOKS_ALLOW_PRIVATE": "true",
            "ORDERLEDGER_WEBHOOKS_LEASE_S": "2",
            "ORDERLEDGER_WEBHOOKS_TIMEOUT_S": "1",
        }
        with running(environment) as service:
            admin = service.client()
            made = admin.post("/v1/webhooks", {"url": receiver.url(), "event_types": ["recharge.posted"]}).body
            receiver.secrets["/hook"] = made["secret"]
            customer = admin.post("/v1/customers", {"name": "王芳"}).body["id"]
            path = f"/v1/customers/{customer}/recharges"
            service.wait_until(lambda: "orderledger-webhooks" in str(admin.get("/v1/queues").body["workers"]))

            began_s = time.monotonic()
            positions = [admin.post(path, {"amount": "1.00"}).body["position"]]
            service.wait_until(lambda: receiver.positions() == positions)
            latency_s = time.monotonic() - began_s
            for number in range(60):
                positions.append(admin.post(path, {"amount": "1.00"}).body["position"])
                if number == 20:
                    service.kill("worker webhooks")
            service.wait_until(lambda: receiver.positions() == positions)
            # Redis empty: wake-ups are lost, the sweeper makes up for them.
            redis.flush()
            positions.append(admin.post(path, {"amount": "1.00"}).body["position"])
            service.wait_until(lambda: receiver.positions() == positions)
            service.wait_until(lambda: admin.get(f"/v1/webhooks/{made['id']}").body["failures"] == 0)

        assert latency_s < 5
        assert all(each.message is not None for each in receiver.taken())
