"""An auditor works out what other prices would have changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from api.console.words import CHINESE, words
from console.conftest import Console, Window
from console.test_accessibility import looked_at

Open = Callable[..., Window]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_level_and_a_price_that_would_have_been_others(console: Console, window: Open, language: str) -> None:
    known = words(CHINESE) if language == CHINESE else {}
    admin, sku, name = console.admin, f"what-if-{language}", f"<b>孙悟空</b> {language}"
    level = admin.post("/v1/levels", {"name": f"Monkeys {language}", "discount_percent": "90"}).body
    customer = admin.post("/v1/customers", {"name": name, "level_id": level["id"]}).body["id"]
    product = {"sku": sku, "name": "Peach", "unit_price": "1.00", "executor": "simulated"}
    assert admin.post("/v1/products", product | {"executor_settings": {"delay_s": 3_600}}).status == 201
    assert admin.post(f"/v1/customers/{customer}/recharges", {"amount": "100.00"}).status == 201
    order = {"customer_id": customer, "product": sku, "quantity": 10}
    assert admin.post("/v1/orders", order).status == 201  # 10 × 1.00 × 90 % = 9.00
    auditor = window(language=language)
    page = auditor.log_in("auditor")
    auditor.go("/what-if")

    # Nothing said yet: the service says what is missing, beside the rules.
    page.locator("#rules button").click()
    page.click("#what-if [type=submit]")
    said = "say what would be different: discounts, levels or prices"
    expect(page.locator("[data-wrong=discounts]")).to_contain_text(known.get(said, said))
    page.click("[data-add=levels]")
    page.select_option("#rules [data-name=level_id]", value=level["id"])
    page.fill("#rules [data-name=discount_percent]", "80")
    page.click("[data-add=prices]")
    page.select_option("#rules [data-name=product]", value=sku)
    page.fill("#rules [data-name=unit_price]", "12.5")
    page.fill("#rules [data-name=from_quantity]", "10")
    page.click("#what-if [type=submit]")

    # 10 × 12.50 × 80 % = 100.00, which is all there is.
    row = page.locator("#customers tbody tr", has_text=name)
    expect(row).to_contain_text("9.00 CNY")
    expect(row).to_contain_text("100.00 CNY")
    expect(row).to_contain_text("91.00 CNY")
    expect(page.locator("#sums")).to_contain_text("9.00 CNY → 100.00 CNY (91.00 CNY)")
    expect(page.locator("#bars")).to_contain_text("−91.00 CNY")
    assert looked_at(auditor, "/what-if", language) == []
    page.fill("#rules [data-name=unit_price]", "13")
    page.click("#what-if [type=submit]")
    expect(row.locator("td").last).to_have_text("1")
    page.fill("#what-if [name=from]", "2040-01-01T00:00")
    page.click("#what-if [type=submit]")
    none = "No order would have had another price."
    expect(page.locator("#scope")).to_have_text(known.get(none, none))
    page.fill("#what-if [name=from]", "")
    page.fill("#rules [data-name=unit_price]", "12.5")
    page.click("#what-if [type=submit]")
    expect(row).to_contain_text("100.00 CNY")
