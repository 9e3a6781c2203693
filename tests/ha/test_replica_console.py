"""A person in front of the console, while the replica that the console's pages read from is an hour late."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from browser import PASSWORD
from ha.replica_pair import DATABASE, replica_pair
from running_service import running
from servers import PrivateRedis

WAIT_MS = 8_000


def test_whoever_changed_an_order_sees_it_changed(tmp_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium fonts-noto-cjk")
    with replica_pair() as pair, PrivateRedis() as redis:
        environment = {
            "ORDERLEDGER_DATABASE_URL": pair.primary.tcp_url(DATABASE),
            "ORDERLEDGER_REPLICA_URLS": pair.replica_urls,
            "ORDERLEDGER_REDIS_URL": redis.url(),
            "ORDERLEDGER_SESSION_COOKIE_SECURE": "false",
            "ORDERLEDGER_SECRET_KEY": "a secret of this test, long enough",
            "ORDERLEDGER_DATA": str(tmp_path),
        }
        with running(environment) as service, sync_playwright() as playwright:
            client = service.client()
            user = {"username": "admin", "role": "admin", "password": PASSWORD}
            settings = {"executor": "simulated", "executor_settings": {"delay_s": 3600}}
            product = {"sku": "slow", "name": "Slow", "unit_price": "0.10", **settings}
            for path, content in (("users", user), ("products", product)):
                assert client.post(f"/v1/{path}", content).status == 201
            customer = client.post("/v1/customers", {"name": "Ann"}).body["id"]
            assert client.post(f"/v1/customers/{customer}/recharges", {"amount": "10.00"}).status == 201
            placed = client.post("/v1/orders", {"customer_id": customer, "product": "slow", "quantity": 10})
            order = placed.body["order"]["id"]
            service.wait_until(lambda: client.get(f"/v1/orders/{order}").body["status"] == "executing")
            old = pair.wait_until_level()
            pair.follow(delay_s=3600)

            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(locale="en-GB")
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{service.address}/login")
            page.fill("#by-password [name=username]", "admin")
            page.fill("#by-password [name=password]", PASSWORD)
            page.click("#by-password [type=submit]")
            page.wait_for_selector("[data-log-out]")
            page.goto(f"{service.address}/orders/{order}")
            page.click("#cancel")
            page.click("#cancellation [type=submit]")

            expect(page.locator("#status")).to_have_text("cancelled", ignore_case=True, timeout=WAIT_MS)
            page.goto(f"{service.address}/customers/{customer}/statement")
            page.goto(f"{service.address}/orders/{order}")
            expect(page.locator("#status")).to_have_text("cancelled", ignore_case=True, timeout=WAIT_MS)
            plain = client.get(f"/v1/orders/{order}")
            browser.close()

    # Others still see what the replica has, and are told how old that is.
    assert (plain.body["status"], plain.headers["Ledger-Position"]) == ("executing", str(old))
