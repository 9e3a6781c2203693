"""What a form sends: all of what was there and nothing else, each command once, and after a refusal another one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from api.console.words import CHINESE, words
from console.conftest import Console, Window
from ledger.pricing import QUANTITY_MAX

Open = Callable[..., Window]
LOOK_MS, PRESSED_MS = 30, 500


def customer_at_a_level(console: Console, name: str) -> dict[str, Any]:
    """Make a level and a customer of it."""
    level = console.admin.post("/v1/levels", {"name": f"Level of {name}", "discount_percent": "80"})
    made = console.admin.post("/v1/customers", {"name": name, "level_id": level.body["id"]})
    assert made.status == 201, made.body
    found: dict[str, Any] = made.body
    return found


def change_the_mobile(page: Page, mobile: str) -> None:
    """Edit the customer of the page."""
    page.click("[data-open=editor]")
    page.fill("#editor [name=mobile]", mobile)
    page.click("#editor [type=submit]")
    expect(page.locator("#facts")).to_contain_text(mobile)


def can_buy_one(console: Console, window: Open, name: str, amount: str) -> tuple[str, Page]:
    """Make a customer with this amount, and open the page where it orders one thing for 1.00; return its id, too."""
    product = {"sku": f"of-{name}", "name": name, "unit_price": "1.00", "executor": "simulated"}
    assert console.admin.post("/v1/products", product | {"executor_settings": {"delay_s": 3_600}}).status == 201
    customer_id: str = console.admin.post("/v1/customers", {"name": name}).body["id"]
    assert console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": amount}).status == 201
    console.user(name, "customer", customer_id=customer_id)
    person = window()
    page = person.log_in(name)
    person.go("/place")
    # What it costs is asked a moment after the choice.
    with page.expect_response("**/v1/orders?dry_run=true"):
        page.select_option("[name=product]", product["sku"])
    person.settle()
    return customer_id, page


def test_a_level_that_one_may_not_see_stays_when_the_mobile_is_changed(console: Console, window: Open) -> None:
    customer = customer_at_a_level(console, "关羽")
    role = {"name": "registrar", "permissions": ["customers.read", "customers.write", "transactions.read"]}
    assert console.admin.post("/v1/roles", role).status == 201
    console.user("registrar", "registrar")
    person = window()
    page = person.log_in("registrar")
    person.go("/customers")
    page.fill("[name=name__contains]", "关羽")
    page.click("tbody a >> text=关羽")
    expect(page.locator("#facts")).to_contain_text(customer["level_id"])

    change_the_mobile(page, "+8613700137010")

    changed = console.admin.get(f"/v1/customers/{customer['id']}").body
    assert (changed["level_id"], changed["mobile"]) == (customer["level_id"], "+8613700137010")


def test_a_level_stays_when_the_levels_could_not_be_read(console: Console, window: Open) -> None:
    customer = customer_at_a_level(console, "张飞")
    person = window()
    page = person.log_in("operator")
    page.route("**/v1/levels?*", lambda route: route.abort())
    person.go(f"/customers/{customer['id']}")

    change_the_mobile(page, "+8613700137011")

    assert console.admin.get(f"/v1/customers/{customer['id']}").body["level_id"] == customer["level_id"]
    # Whoever means it takes the level away.
    page.click("[data-open=editor]")
    page.select_option("#editor [name=level_id]", value="")
    page.click("#editor [type=submit]")
    expect(page.locator("#editor")).to_be_hidden()
    assert console.admin.get(f"/v1/customers/{customer['id']}").body["level_id"] is None


def test_an_order_refused_for_lack_of_money_is_placed_once_there_is_money(console: Console, window: Open) -> None:
    customer_id, page = can_buy_one(console, window, "liu", "0.50")
    with page.expect_response("**/v1/orders") as refused:
        page.click("#place [type=submit]")
    assert refused.value.status == 409
    expect(page.locator("#place [data-problem]")).to_contain_text("can be spent")
    assert console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": "1.00"}).status == 201

    page.click("#place [type=submit]")

    page.wait_for_url("**/orders/ord_*")


def test_an_order_whose_answer_was_lost_is_placed_once(console: Console, window: Open) -> None:
    customer_id, page = can_buy_one(console, window, "cao", "10.00")
    placed: list[str] = []

    def lose(route: Route) -> None:
        placed.append(route.fetch().json()["order"]["id"])
        route.abort()

    page.route("**/v1/orders", lose, times=1)
    page.click("#place [type=submit]")
    expect(page.locator("#place [data-problem]")).to_contain_text("try again")

    page.click("#place [type=submit]")

    page.wait_for_url("**/orders/ord_*")
    assert page.url.rsplit("/", 1)[1] == placed[0]
    console.service.wait_until(console.service.caught_up)
    assert console.admin.get(f"/v1/customers/{customer_id}/balance").body["available"] == "9.00"


def on_the_way_to_a_new_customer(console: Console, person: Window, name: str) -> list[Route]:
    """Send the form of a new customer, whose page does not come before it is let.

    Meanwhile the old one takes keys only; F2 makes it come back from where browsers keep pages that were left.
    """
    held: list[Route] = []
    page = person.page
    person.go("/customers")
    page.route(f"{person.address}/customers/*", lambda route: held.append(route))
    page.evaluate(
        """addEventListener("keydown", ({ key }) => {
          if (key === "F2") dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
        })"""
    )
    page.click("[data-open=editor]")
    page.fill("#editor [name=name]", name)
    page.keyboard.press("Enter")
    while not held:
        page.wait_for_timeout(LOOK_MS)
    assert called(console, name) == 1
    return held


def called(console: Console, name: str) -> int:
    """Return how many customers have the name."""
    return len(console.admin.get(f"/v1/customers?name={quote(name)}").body["data"])


def test_a_second_press_while_the_next_page_is_on_its_way_makes_no_second_customer(
    console: Console, window: Open
) -> None:
    person = window()
    page = person.log_in("operator")
    held = on_the_way_to_a_new_customer(console, person, "孙权")

    page.keyboard.press("Enter")
    page.wait_for_timeout(PRESSED_MS)
    held[-1].continue_()

    expect(page.locator("#name")).to_have_text("孙权")
    assert called(console, "孙权") == 1


def test_a_form_that_led_away_can_be_sent_when_one_comes_back_to_it(console: Console, window: Open) -> None:
    person = window()
    page = person.log_in("operator")
    held = on_the_way_to_a_new_customer(console, person, "孙策")

    page.keyboard.press("F2")
    page.keyboard.press("Enter")
    console.service.wait_until(lambda: called(console, "孙策") == 2, s_max=10)
    page.wait_for_timeout(PRESSED_MS)
    held[-1].continue_()

    expect(page.locator("#name")).to_have_text("孙策")


def a_product_with_everything(console: Console, sku: str) -> str:
    """Make a product of which everything is set, and return its id."""
    product = {"sku": sku, "name": sku, "unit_price": "1.00", "executor": "simulated", "min_quantity": 2}
    made = console.admin.post("/v1/products", product | {"executor_settings": {"delay_s": 5}, "max_quantity": 9})
    assert made.status == 201, made.body
    found: str = made.body["id"]
    return found


def test_what_is_emptied_of_a_product_is_as_if_it_had_never_been_set(console: Console, window: Open) -> None:
    product_id = a_product_with_everything(console, "emptied")
    person = window()
    page = person.log_in("admin")
    person.go("/products")
    page.click("[aria-label='Edit: emptied']")

    for name in ("executor_settings", "min_quantity", "max_quantity"):
        page.fill(f"#editor [name={name}]", "")
    page.click("#editor [type=submit]")

    expect(page.locator("#editor")).to_be_hidden()
    found = console.admin.get(f"/v1/products/{product_id}").body
    assert (found["executor_settings"], found["min_quantity"], found["max_quantity"]) == ({}, 1, QUANTITY_MAX)


def test_what_must_be_there_is_missed_when_it_is_emptied(console: Console, window: Open) -> None:
    level = {"name": "Missed", "discount_percent": "75"}
    level_id = console.admin.post("/v1/levels", level).body["id"]
    person = window()
    page = person.log_in("admin")
    person.go("/levels")
    page.click("[aria-label='Edit: Missed']")

    page.fill("#editor [name=discount_percent]", "")
    page.click("#editor [type=submit]")

    expect(page.locator("#editor [data-wrong=discount_percent]")).not_to_be_empty()
    assert page.locator("#editor").is_visible()
    assert console.admin.get(f"/v1/levels/{level_id}").body["discount_percent"] == "75"


def test_half_a_number_is_not_taken_for_an_emptied_one(console: Console, window: Open) -> None:
    product_id = a_product_with_everything(console, "half")
    person = window()
    page = person.log_in("admin")
    person.go("/products")
    page.click("[aria-label='Edit: half']")

    page.locator("#editor [name=max_quantity]").press_sequentially("e")
    page.click("#editor [type=submit]")

    expect(page.locator("#editor [data-wrong=max_quantity]")).to_contain_text("This cannot be read.")
    assert console.admin.get(f"/v1/products/{product_id}").body["max_quantity"] == 9


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_proxy_answers_instead_of_the_service_is_said(console: Console, window: Open, language: str) -> None:
    said = "Not the service answered but something in front of it, with status {status}: try again."
    known = words(CHINESE) if language == CHINESE else {}
    person = window(language=language)
    page = person.log_in("admin")
    person.go("/levels")
    page.click("[data-open=editor]")
    page.fill("#editor [name=name]", "Behind a proxy")

    page.route("**/v1/levels", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    page.click("#editor [type=submit]")

    expect(page.locator("#editor [data-problem]")).to_have_text(known.get(said, said).replace("{status}", "502"))


def test_a_trial_is_not_waited_for(console: Console, window: Open) -> None:
    _, page = can_buy_one(console, window, "zhou", "5.00")
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if "/v1/customers/" in answer.url else None)

    page.goto(f"{console.service.address}/statement")

    expect(page.locator("#facts")).to_contain_text("5.00 CNY")
    assert answers == [200]


def test_all_products_can_be_chosen_however_many_pages_they_fill(console: Console, window: Open) -> None:
    skus = [f"paged-{number}" for number in range(6)]
    products = [{"sku": sku, "name": sku, "unit_price": "1.00", "executor": "simulated"} for sku in skus]
    assert console.admin.post("/v1/products/bulk", products).status == 201
    person = window()
    page = person.log_in("operator")
    # As if the service's longest page had five.
    page.route(
        re.compile("/v1/products.*limit=200"),
        lambda route: route.continue_(url=route.request.url.replace("limit=200", "limit=5")),
    )

    person.go("/place")

    values = page.locator("[name=product] option").evaluate_all("all => all.map((each) => each.value)")
    assert set(skus) <= set(values)
    assert len(values) == len(set(values))
