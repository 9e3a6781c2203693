"""Only the customer that one chose is meant: not the one before, nor everybody, while another name stands there."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from api.console.words import CHINESE, words
from console.conftest import Console, Window

Open = Callable[..., Window]
UNCHOSEN = "Choose a customer from the list."


def customer(console: Console, name: str) -> str:
    """Make a customer with money and return its id."""
    customer_id: str = console.admin.post("/v1/customers", {"name": name}).body["id"]
    assert console.admin.post(f"/v1/customers/{customer_id}/recharges", {"amount": "10.00"}).status == 201
    return customer_id


def posts(page: Page) -> list[str]:
    """Return a list that grows by the path of whatever the page sends from now on, trials left out."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "dry_run" not in request.url:
            sent.append(urlsplit(request.url).path)

    page.on("request", note)
    return sent


def test_no_order_is_placed_for_the_customer_before_when_another_was_typed(console: Console, window: Open) -> None:
    before = customer(console, "Before Typing")
    product = {"sku": "typed-over", "name": "Typed over", "unit_price": "1.00", "executor": "simulated"}
    assert console.admin.post("/v1/products", product).status == 201
    person = window()
    page = person.log_in("operator")
    person.go(f"/place?customer_id={before}")
    expect(page.locator("[role=combobox]")).to_have_value("Before Typing")
    page.select_option("[name=product]", "typed-over")
    expect(page.locator("#quote")).to_contain_text("9.00 CNY")
    sent = posts(page)

    page.fill("[role=combobox]", "Bob Nowhere")
    # At once, and once more after the list would have opened.
    page.keyboard.press("Enter")
    person.settle()
    page.click("#place [type=submit]")

    expect(page.locator("[data-wrong=customer_id]")).to_contain_text(UNCHOSEN)
    expect(page.locator("#quote")).to_be_empty()
    person.settle()
    assert sent == []
    assert page.locator("[name=customer_id]").input_value() == ""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("path", "field", "text"), [("/api-keys", "name", "till"), ("/webhooks", "url", "https://x.test/")]
)
def test_no_key_and_no_webhook_for_everybody_is_made_when_somebody_was_typed(
    console: Console, window: Open, language: str, path: str, field: str, text: str
) -> None:
    known = words(CHINESE) if language == CHINESE else {}
    person = window(language=language)
    page = person.log_in("admin")
    person.go(path)
    page.click("[data-open=editor]")
    page.fill(f"#editor [name={field}]", text)
    sent = posts(page)

    page.fill("#editor [role=combobox]", "Alice Nowhere")
    page.click("#editor [type=submit]")
    person.settle()

    expect(page.locator("#editor [data-wrong=customer_id]")).to_contain_text(known.get(UNCHOSEN, UNCHOSEN))
    assert sent == []
    assert page.locator("#editor").is_visible()


def test_a_key_is_made_for_whom_one_chose(console: Console, window: Open) -> None:
    chosen = customer(console, "Chosen From The List")
    person = window()
    page = person.log_in("admin")
    person.go("/api-keys")
    page.click("[data-open=editor]")
    page.fill("#editor [name=name]", "of the chosen")
    page.select_option("#editor [name=role]", "operator")

    page.fill("#editor [role=combobox]", "Chosen From")
    page.click("#editor [role=option]")
    page.click("#editor [type=submit]")
    expect(page.locator("#secret-text")).not_to_be_empty()
    page.click("#secret [type=submit]")

    (made,) = console.admin.get("/v1/api-keys?name=of%20the%20chosen").body["data"]
    assert made["customer_id"] == chosen
    # The next one is nobody's yet.
    page.click("[data-open=editor]")
    person.settle()
    assert page.locator("#editor [name=customer_id]").input_value() == ""
    assert page.locator("#editor [role=combobox]").input_value() == ""


def test_a_new_key_is_not_of_the_customer_of_the_one_that_was_looked_at(console: Console, window: Open) -> None:
    key = {"name": "looked at", "role": "operator", "customer_id": customer(console, "Looked At")}
    assert console.admin.post("/v1/api-keys", key).status == 201
    person = window()
    page = person.log_in("admin")
    person.go("/api-keys")
    page.click("[aria-label='Edit: looked at']")
    expect(page.locator("#editor [role=combobox]")).to_have_value("Looked At")
    page.click("#editor [data-cancel]")

    page.click("[data-open=editor]")
    person.settle()

    assert page.locator("#editor [name=customer_id]").input_value() == ""
    expect(page.locator("#editor [role=combobox]")).to_have_value("")
    expect(page.locator("#editor [role=combobox]")).to_be_enabled()


def test_a_filter_does_not_stay_at_the_customer_before(console: Console, window: Open) -> None:
    before = customer(console, "Before Filtering")
    person = window()
    page = person.log_in("auditor")
    person.go(f"/events?customer_id={before}")
    expect(page.locator("[role=combobox]")).to_have_value("Before Filtering")

    page.fill("[role=combobox]", "Bob Nowhere")
    page.keyboard.press("Tab")

    page.wait_for_url(lambda url: before not in url)
    expect(page.locator("[data-wrong=customer_id]")).to_contain_text(UNCHOSEN)


def test_a_filter_by_a_name_that_nobody_was_chosen_for_shows_nobodys_events(console: Console, window: Open) -> None:
    chosen = customer(console, "Zhao Filtering")
    person = window()
    page = person.log_in("auditor")
    person.go("/events")
    rows = page.locator("tbody tr")
    expect(rows.first).to_be_visible()

    page.locator("[role=combobox]").press_sequentially("Zhao Fil")
    expect(rows).to_have_count(0)
    expect(page.locator("#said")).to_contain_text(UNCHOSEN)
    page.select_option("[name=type]", "recharge.posted")
    person.settle()
    expect(rows).to_have_count(0)

    page.fill("[role=combobox]", "Zhao Filtering")
    page.click("[role=option]")

    page.wait_for_url(lambda url: chosen in url)
    expect(rows).to_have_count(1)
    expect(page.locator("#said")).to_be_empty()


def test_whose_statement_it_was_is_gone_when_another_name_is_typed(console: Console, window: Open) -> None:
    before = customer(console, "Before Reading")
    person = window()
    page = person.log_in("auditor")
    person.go(f"/statement?customer_id={before}")
    expect(page.locator("#lines tbody tr")).to_have_count(1)

    page.fill("[role=combobox]", "Bob Nowhere")

    expect(page.locator("#lines tbody tr")).to_have_count(0)
    expect(page.locator("#facts")).to_be_empty()
    assert page.locator("#csv").get_attribute("href") is None


def test_enter_chooses_nobody_from_the_list_of_what_was_typed_before(console: Console, window: Open) -> None:
    customer(console, "Older List")
    person = window()
    page = person.log_in("auditor")
    person.go("/statement")
    page.fill("[role=combobox]", "Older Li")
    expect(page.locator("[role=option]")).to_have_count(1)

    page.keyboard.type("on")
    page.keyboard.press("Enter")
    person.settle()

    assert page.locator("[name=customer_id]").input_value() == ""
    assert page.locator("[role=combobox]").input_value() == "Older Lion"
