"""An administrator subscribes, watches deliveries, mends a receiver and replays, all in the console."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook

from console.conftest import Console, Window
from hook_receiver import HookReceiver, Reply

Open = Callable[..., Window]
DELIVERED_MS = 30_000


@pytest.fixture
def receiver() -> Iterator[HookReceiver]:
    server = HookReceiver()
    yield server
    server.close()


def subscribed(window: Window, url: str, *types: str) -> str:
    """Make a subscription in the dialog; return the secret that is shown."""
    page = window.go("/webhooks")
    page.click("[data-open=editor]")
    page.fill("#editor [name=url]", url)
    page.fill("#editor [name=description]", "book-keeping")
    for each in types:
        page.check(f"#editor [value='{each}']")
    page.click("#editor [type=submit]")
    secret = page.locator("#secret-text")
    expect(secret).to_contain_text("whsec_")
    text = secret.inner_text()
    page.click("#secret [type=submit]")
    expect(page.locator("tbody")).to_contain_text(url)
    assert "whsec_" not in page.content()
    return text


def accepted(page: Page) -> None:
    page.once("dialog", lambda dialog: dialog.accept())


def test_a_subscription_is_made_watched_tested_and_replayed(
    console: Console, window: Open, receiver: HookReceiver
) -> None:
    admin = window()
    admin.log_in("admin")
    secret = subscribed(admin, receiver.url(), "recharge.posted")
    receiver.secrets["/hook"] = secret
    customer = console.admin.post("/v1/customers", {"name": "收款 Receiver"}).body["id"]
    recharge = console.admin.post(f"/v1/customers/{customer}/recharges", {"amount": "3.00"}).body

    console.service.wait_until(lambda: receiver.positions() == [recharge["position"]])
    page = admin.go("/webhooks")
    page.click(f"tbody a:has-text('{receiver.url()}')")
    expect(page.locator("#state")).to_have_text("delivering")
    expect(page.locator("tbody tr")).to_have_count(1, timeout=DELIVERED_MS)
    expect(page.locator("tbody")).to_contain_text("delivered")
    page.click("#test")
    expect(page.locator("#said")).to_contain_text("on its way")
    console.service.wait_until(lambda: "ping" in receiver.types())
    page.click("[data-open=replay]")
    page.fill("#replay [name=from_position]", str(recharge["position"]))
    page.click("#replay [type=submit]")
    expect(page.locator("#said")).to_contain_text("goes on from there")
    console.service.wait_until(lambda: receiver.types().count("recharge.posted") == 2)
    accepted(page)
    page.click("#rotate")
    expect(page.locator("#secret-text")).to_contain_text("whsec_")
    new_secret = page.locator("#secret-text").inner_text()
    page.click("#secret [type=submit]")
    console.admin.post(f"/v1/customers/{customer}/recharges", {"amount": "4.00"})
    console.service.wait_until(lambda: receiver.types().count("recharge.posted") == 3)

    last = receiver.taken()[-1]
    for each in (secret, new_secret):
        assert Webhook(each).verify(last.body, last.headers)["type"] == "recharge.posted"
    assert all(each.message is not None for each in receiver.taken())


def test_a_receiver_that_is_gone_is_seen_and_enabled_again_on_a_telephone_in_chinese(
    console: Console, window: Open, receiver: HookReceiver
) -> None:
    receiver.behaviour = lambda path, message_id: Reply(status=410)
    answer = console.admin.post("/v1/webhooks", {"url": receiver.url("/gone"), "event_types": ["recharge.posted"]})
    assert answer.status == 201, answer.body
    customer = console.admin.post("/v1/customers", {"name": "离开"}).body["id"]
    console.admin.post(f"/v1/customers/{customer}/recharges", {"amount": "1.00"})
    path = f"/v1/webhooks/{answer.body['id']}"
    console.service.wait_until(lambda: console.admin.get(path).body["state"] == "disabled")
    person = window(language="zh")
    person.page.set_viewport_size({"width": 375, "height": 700})
    person.log_in("admin")

    page = person.go(f"/webhooks/{answer.body['id']}")
    expect(page.locator("#state")).to_have_text("已停用")
    expect(page.locator("#facts")).to_contain_text("接收方已不存在")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert "1 disabled" in json.dumps(console.admin.get("/v1/doctor").body)
    receiver.behaviour = lambda path, message_id: Reply()
    page.click("#enable")
    expect(page.locator("#state")).to_have_text("推送中")
    console.service.wait_until(lambda: len(receiver.taken("/gone")) == 1)
    page.click("#pause")
    expect(page.locator("#state")).to_have_text("已暂停")
    assert 'orderledger_webhooks{state="paused"}' in str(console.admin.get("/metrics").body)


def test_an_operator_sees_no_webhooks(console: Console, window: Open) -> None:
    operator = window()
    operator.log_in("operator")

    page = operator.go("/webhooks")

    assert page.locator("[data-list]").count() == 0
    assert page.locator("#menu a[href='/webhooks']").count() == 0
