"""Every page passes axe's serious rules, in English on a desk and in Chinese on a telephone; nothing typed is executed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from console.conftest import Console, Window

Open = Callable[..., Window]
SERIOUS = {"serious", "critical"}
WIDTHS = {"zh": 375, "en": 1_280}
STAFF_PAGES = (
    "/", "/customers", "/orders", "/transactions", "/levels", "/products", "/events", "/trial-balance", "/proofs",
    "/users", "/what-if", "/roles", "/api-keys", "/webhooks", "/place", "/account", "/balances", "/queues", "/doctor",
    "/events/1", "/nowhere",
)  # fmt: skip
DIALOGS = ("/customers", "/levels", "/products", "/users", "/roles", "/api-keys", "/webhooks")
NASTY = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    '"><svg onload=window.pwned=1>',
    "'-window.pwned=1-'",
    "{{7*7}}{% raw %}",
    "javascript:window.pwned=1",
    "</title><script>window.pwned=1</script>",
    "${window.pwned=1}",
    "<a href=javascript:window.pwned=1>x</a>",
    "\u202e<b>evil</b>",
)


@pytest.fixture(scope="module")
def shop(console: Console) -> dict[str, Any]:
    """A customer with an order, its login, and nasty names everywhere."""
    admin = console.admin
    ids: dict[str, Any] = {}
    for number, text in enumerate(NASTY):
        level = admin.post("/v1/levels", {"name": f"{text} {number}", "discount_percent": "90"})
        assert level.status == 201, level.body
        customer = admin.post("/v1/customers", {"name": text, "contact": text, "level_id": level.body["id"]})
        assert customer.status == 201, customer.body
        product = {"sku": f"sku{number}", "name": text, "unit_price": "0.10", "executor": "simulated"}
        assert admin.post("/v1/products", product).status == 201
        customer_id = customer.body["id"]
        recharge = {"amount": "10.00", "reference": text, "memo": text}
        assert admin.post(f"/v1/customers/{customer_id}/recharges", recharge).status == 201
        slow = {"sku": f"slow{number}", "name": text, "unit_price": "0.10", "executor": "simulated"}
        assert admin.post("/v1/products", slow | {"executor_settings": {"delay_s": 3_600}}).status == 201
        order = {"customer_id": customer_id, "product": f"slow{number}", "quantity": 1, "reference": text}
        placed = admin.post("/v1/orders", order | {"params": {text: text}})
        assert placed.status == 201, placed.body
        ids["order"] = placed.body["order"]["id"]
        # The agent may be starting it at this very moment: the reason is kept either way.
        assert admin.post(f"/v1/orders/{ids['order']}/cancellation", {"reason": text}).status in (201, 202, 409)
        deduction = {"amount": "0.10", "reference": text, "memo": text}
        ids["deduction"] = admin.post(f"/v1/customers/{customer_id}/deductions", deduction).body["position"]
        assert admin.post(f"/v1/transactions/{ids['deduction']}/reversal", {"reason": text}).status == 201
        ids["customer"] = customer_id
        menu = [{"key": f"g{number}", "label": {"en": text[:40], "zh": text[:40]}, "children": [{"key": "levels"}]}]
        role = admin.post("/v1/roles", {"name": f"{text}{number}", "permissions": ["levels.read"], "menu": menu})
        assert role.status == 201, role.body
        assert admin.post("/v1/api-keys", {"name": text, "role": role.body["name"]}).status == 201
        console.user(f"{text}{number}", role.body["name"], name=text)
        ids["role"] = role.body["id"]
    console.user("owner", "customer", customer_id=ids["customer"], name=NASTY[0])
    console.service.wait_until(console.service.caught_up)
    hook = admin.post("/v1/webhooks", {"url": "http://127.0.0.1:1/?q='", "description": NASTY[0]})
    assert hook.status == 201, hook.body
    ids["webhook"] = hook.body["id"]
    return ids


def findings(window: Window) -> list[str]:
    found = Axe().run(window.page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{window.page.url} {each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in found
        if each["impact"] in SERIOUS
    ]


def looked_at(window: Window, path: str, language: str) -> list[str]:
    """Return what axe finds on the page, in one language on a desk, in the other on a telephone; on both it must fit."""
    found = []
    for width in WIDTHS.values():
        window.page.set_viewport_size({"width": width, "height": 900})
        if width == WIDTHS[language]:
            found = findings(window)
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than {width}"
    assert window.page.evaluate("window.pwned") is None, path
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.timeout(400)
def test_every_page_is_accessible_and_executes_nothing(
    console: Console, window: Open, shop: dict[str, Any], language: str
) -> None:
    found: list[str] = []
    # One language in the dark; what a browser calls itself is somebody's text, too.
    own = partial(window, language=language, is_dark=language == "zh", agent=NASTY[1])
    staff = own()
    staff.go("/login")
    found += looked_at(staff, "/login", language)
    staff.log_in("admin")
    customer_pages = (
        f"/customers/{shop['customer']}",
        f"/customers/{shop['customer']}/statement",
        f"/balances?customer_id={shop['customer']}",
    )
    for path in (
        *STAFF_PAGES,
        *customer_pages,
        f"/orders/{shop['order']}",
        f"/events/{shop['deduction']}",
        f"/roles/{shop['role']}/menu",
        f"/webhooks/{shop['webhook']}",
    ):
        page = staff.go(path)
        found += looked_at(staff, path, language)
        assert page.locator("html").get_attribute("lang") == ("zh-CN" if language == "zh" else "en")
        if path in DIALOGS:
            page.click("[data-open=editor]")
            found += looked_at(staff, path, language)
    customer = own()
    customer.log_in("owner")
    for path in ("/", "/place", "/orders", "/transactions", "/statement", "/account"):
        customer.go(path)
        found += looked_at(customer, path, language)

    assert found == []


def test_a_page_can_be_worked_by_the_keyboard_alone(console: Console, window: Open) -> None:
    person = window()
    page = person.go("/login")
    page.focus("#by-password [name=username]")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-log-out]")
    person.go("/levels")
    page.focus("[data-open=editor]")
    page.keyboard.press("Enter")
    page.keyboard.type("By keyboard")
    page.keyboard.press("Tab")
    page.keyboard.type("80")
    page.keyboard.press("Enter")

    page.wait_for_selector("text=By keyboard")


def test_dark_and_light_are_remembered(console: Console, window: Open) -> None:
    person = window()
    page = person.go("/login")
    before = page.evaluate("document.documentElement.dataset.bsTheme")
    page.click("[data-theme-switch]")
    person.go("/login")

    assert {before, page.evaluate("document.documentElement.dataset.bsTheme")} == {"light", "dark"}
