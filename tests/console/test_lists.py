"""Lists: what more was asked for stays, what was just posted is in them."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Request, expect

from console.conftest import Console, Window

Open = Callable[..., Window]
REFRESHED_MS = 4_000
"""More than a customer's first page takes to ask again."""


def test_what_show_more_brought_stays(console: Console, window: Open) -> None:
    customer_id = console.admin.post("/v1/customers", {"name": "Of Twelve"}).body["id"]
    assert console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": "12.00"}).status == 201
    product = {"sku": "twelve", "name": "Twelve", "unit_price": "1.00", "executor": "simulated"}
    assert console.admin.post("/v1/products", product | {"executor_settings": {"delay_s": 3_600}}).status == 201
    for _ in range(12):
        order = {"customer_id": customer_id, "product": "twelve", "quantity": 1}
        assert console.admin.post("/v1/orders", order).status == 201
    console.service.wait_until(console.service.caught_up)
    console.user("twelve", "customer", customer_id=customer_id)
    page = window().log_in("twelve")
    expect(page.locator("tbody tr")).to_have_count(10)

    page.click("[data-more]")
    expect(page.locator("tbody tr")).to_have_count(12)
    page.wait_for_timeout(REFRESHED_MS)

    assert page.locator("tbody tr").count() == 12


def test_a_list_of_one_page_follows_by_itself(console: Console, window: Open) -> None:
    customer_id = console.admin.post("/v1/customers", {"name": "Of One"}).body["id"]
    assert console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": "12.00"}).status == 201
    product = {"sku": "one", "name": "One", "unit_price": "1.00", "executor": "simulated"}
    assert console.admin.post("/v1/products", product | {"executor_settings": {"delay_s": 3_600}}).status == 201
    console.user("one", "customer", customer_id=customer_id)
    page = window().log_in("one")
    expect(page.locator("[data-empty]")).to_be_visible()

    order = {"customer_id": customer_id, "product": "one", "quantity": 1}
    assert console.admin.post("/v1/orders", order).status == 201

    expect(page.locator("tbody tr")).to_have_count(1, timeout=15_000)


def test_a_customers_transactions_wait_for_what_was_just_posted(console: Console, window: Open) -> None:
    customer_id = console.admin.post("/v1/customers", {"name": "Just Posted"}).body["id"]
    person = window()
    page = person.log_in("operator")
    person.go(f"/customers/{customer_id}")
    page.click("[data-move=recharges]")
    page.fill("#move [name=amount]", "3.00")
    page.click("#move [type=submit]")
    expect(page.locator("#preview")).to_contain_text("3.00 CNY")

    def waits(request: Request) -> bool:
        return "/v1/transactions?" in request.url and "ledger-min-position" in request.headers

    with page.expect_request(waits) as asked:
        page.click("#confirm [type=submit]")

    (posted,) = console.admin.get(f"/v1/events?customer_id={customer_id}&type=recharge.posted").body["data"]
    assert asked.value.headers["ledger-min-position"] == str(posted["position"])
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("#balance")).to_contain_text("3.00 CNY")
