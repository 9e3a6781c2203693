"""The whole story in a browser: set up, recharge, order, cancel, execution, audit, a changed role."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from playwright.sync_api import Page, Route, expect

from api.console.words import CHINESE, words
from browser import PASSWORD
from console.conftest import Console, Window
from console_words import menu_words

Open = Callable[..., Window]


def fill(page: Page, dialog: str, **values: str) -> None:
    for name, value in values.items():
        page.fill(f"#{dialog} [name={name}]", value)
    page.click(f"#{dialog} [type=submit]")


def to_page(page: Page, name: str) -> None:
    """Click on an entry of the menu, and wait until its page has asked all it wants."""
    page.click(f"nav >> text={name}")
    page.wait_for_load_state("networkidle")


def say(language: str) -> Callable[[str], str]:
    """Return what turns the console's English words into the language's."""
    known = words(CHINESE) | menu_words() if language == CHINESE else {}
    return lambda text: known.get(text, text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_from_the_first_level_to_the_audit(console: Console, window: Open, language: str) -> None:
    w, own = say(language), partial(window, language=language)
    level, name = {"en": ("Friends", "赵敏 Zhao Min"), "zh": ("朋友", "钱进")}[language]
    skus = (f"hello-{language}", f"slow-{language}")
    admin = own()
    page = admin.log_in("admin")

    # A level, a customer of it, two products, money.
    to_page(page, w("Levels"))
    page.click(f"text={w('New level')}")
    fill(page, "editor", name=level, discount_percent="90")
    expect(page.locator("tbody")).to_contain_text(level)
    to_page(page, w("Customers"))
    page.click(f"text={w('New customer')}")
    page.select_option("#editor [name=level_id]", label=level)
    fill(page, "editor", name=name)
    expect(page.locator("#name")).to_have_text(name)
    customer_id = page.url.rsplit("/", 1)[1]
    for sku, delay in zip(skus, ("0", "3600"), strict=True):
        admin.go("/products")
        page.click(f"text={w('New product')}")
        page.fill("#editor [name=executor_settings]", f'{{"delay_s": {delay}}}')
        fill(page, "editor", sku=sku, name=sku.title(), unit_price="0.10")
        expect(page.locator("tbody")).to_contain_text(sku)
    admin.go(f"/customers/{customer_id}")
    page.click("[data-move=recharges]")
    fill(page, "move", amount="100.00", reference="first")
    expect(page.locator("#preview")).to_contain_text("0.00 CNY")
    expect(page.locator("#preview")).to_contain_text("100.00 CNY")
    page.click("#confirm [type=submit]")
    expect(page.locator("#balance")).to_contain_text("100.00 CNY")
    expect(page.locator("tbody")).to_contain_text("first")

    # A mistake is reversed, and stays to be seen.
    page.click("[data-move=deductions]")
    fill(page, "move", amount="1.00")
    page.click("#confirm [type=submit]")
    expect(page.locator("#balance")).to_contain_text("99.00 CNY")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.click(f"tbody tr:first-child >> text={w('Reverse')}")
    fill(page, "reversal", reason="typed twice")
    expect(page.locator("#balance")).to_contain_text("100.00 CNY")
    expect(page.locator("tbody tr")).to_have_count(3)

    # The customer orders at its level's price, and sees the agent complete the order.
    console.user(f"zhao-{language}", "customer", customer_id=customer_id)
    customer = own()
    shop = customer.log_in(f"zhao-{language}")
    expect(shop.locator("#balance")).to_contain_text("100.00 CNY")
    shop.click(f"text={w('Place an order')} >> nth=0")
    shop.select_option("[name=product]", skus[0])
    shop.fill("[name=quantity]", "100")
    expect(shop.locator("#quote")).to_contain_text("9.00 CNY")
    expect(shop.locator("#quote")).to_contain_text("91.00 CNY")
    shop.click("#place [type=submit]")
    expect(shop.locator("#status")).to_have_text(w("completed"))
    expect(shop.locator("#timeline")).to_contain_text(w("order completed"))

    # Another one is cancelled.
    customer.go("/place")
    shop.select_option("[name=product]", skus[1])
    shop.fill("[name=quantity]", "50")
    shop.click("#place [type=submit]")
    shop.click("#cancel")
    shop.click("#cancellation [type=submit]")
    expect(shop.locator("#status")).to_have_text(w("cancelled"))
    to_page(shop, w("My statement"))
    expect(shop.locator("#facts")).to_contain_text("91.00 CNY")
    expect(shop.locator("#lines tbody tr")).to_have_count(7)
    customer.go("/")
    expect(shop.locator("#balance")).to_contain_text("91.00 CNY")
    expect(shop.locator("tbody tr")).to_have_count(2)

    # What cannot be done is said in the reader's language.
    customer.go("/place")
    shop.select_option("[name=product]", skus[1])
    shop.fill("[name=quantity]", "99999")
    expect(shop.locator("#place [data-problem]")).to_contain_text(
        {"en": "can be spent", "zh": "请给账户充值"}[language]
    )

    # The auditor sees all of it, event by event and at any time, and that it adds up.
    auditor = own()
    books = auditor.log_in("auditor")
    auditor.go(f"/events?customer_id={customer_id}")
    expect(books.locator("tbody")).to_contain_text("order.completed")
    expect(books.locator("[role=combobox]")).to_have_value(name)
    books.click("tbody tr:last-child a >> nth=0")
    expect(books.locator("#postings")).to_contain_text(f"customer:{customer_id}:held")
    last = books.url
    books.click("#previous-in-account")
    books.wait_for_url(lambda url: url != last and "/events/" in url)
    expect(books.locator("#type")).to_contain_text("order.started")
    books.click("#next-in-account")
    books.wait_for_url(last)
    auditor.go(f"/balances?customer_id={customer_id}")
    expect(books.locator("#balance")).to_contain_text("91.00 CNY")
    books.focus("#slider")
    books.keyboard.press("Home")
    expect(books.locator("#balance")).to_contain_text("0.00 CNY")
    auditor.go("/trial-balance")
    expect(books.locator("#sums")).to_contain_text("0.00 CNY")
    expect(books.locator("#accounts")).to_contain_text("platform:revenue")
    assert books.locator(f"nav >> text={w('Users')}").count() == 0
    assert auditor.go("/users").locator("h1").inner_text() == w("Not permitted")


def test_a_changed_role_counts_at_the_next_click(console: Console, window: Open) -> None:
    role = console.admin.post("/v1/roles", {"name": "clerk", "permissions": ["levels.read", "customers.read"]}).body
    console.user("clerk", "clerk")
    clerk = window()
    page = clerk.log_in("clerk")
    expect(page.locator("nav")).to_contain_text("Customers")

    console.admin.request("PATCH", f"/v1/roles/{role['id']}", {"permissions": ["levels.read"]})
    to_page(page, "Customers")

    expect(page.locator("h1")).to_have_text("Not permitted")
    clerk.go("/")
    assert page.locator("nav >> text=Customers").count() == 0


def test_filters_and_tabs_stand_in_the_address(console: Console, window: Open) -> None:
    page = window().log_in("operator")
    to_page(page, "Orders")
    page.wait_for_load_state("networkidle")
    page.fill("[name=q]", "hello")
    page.wait_for_url("**/orders?q=hello")
    page.click("[data-tabs] >> text=completed")
    page.wait_for_url("**status=completed**")

    page.reload()

    expect(page.locator("[name=q]")).to_have_value("hello")
    expect(page.locator("[data-tabs] [aria-pressed=true]")).to_contain_text("completed")


def test_what_is_wrong_stands_beside_its_field(console: Console, window: Open) -> None:
    page = window().log_in("operator")
    to_page(page, "Levels")
    page.click("text=New level")
    fill(page, "editor", name="Odd", discount_percent="1000")

    expect(page.locator("#editor [data-wrong=discount_percent]")).not_to_be_empty()
    assert page.locator("#editor").is_visible()


def test_the_language_is_switched_and_stays(console: Console, window: Open) -> None:
    person = window()
    page = person.log_in("operator")
    page.click("text=简体中文")
    expect(page.locator("h1")).to_have_text("概览")
    person.go("/customers")
    expect(page.locator("h1")).to_have_text("客户")
    page.click("text=English")
    expect(page.locator("h1")).to_have_text("Customers")


def test_one_ends_another_session_and_changes_the_password(console: Console, window: Open) -> None:
    console.user("pat", "operator")
    here, there = window(), window()
    page = here.log_in("pat")
    there.log_in("pat")
    here.go("/account")
    page.click("#sessions button >> nth=0")
    expect(page.locator("#sessions button")).to_have_count(0)
    there.page.reload()
    there.page.wait_for_url("**/login")

    page.fill("#password [name=new_password]", "another fine phrase")
    page.fill("#password [name=password]", "not this one")
    page.click("#password [type=submit]")
    expect(page.locator("#password [data-problem]")).not_to_be_empty()
    page.fill("#password [name=password]", "correct horse battery")
    page.click("#password [type=submit]")
    page.wait_for_load_state("networkidle")
    there.log_in("pat", "another fine phrase")


def test_after_logging_in_one_is_where_one_wanted_to_be_and_nowhere_else(console: Console, window: Open) -> None:
    for wanted, reached in (("/orders?q=x", "/orders?q=x"), ("https://example.org/", "/"), ("//example.org/x", "/")):
        person = window()
        page = person.go(f"/login?next={wanted}")
        page.fill("#by-password [name=username]", "operator")
        page.fill("#by-password [name=password]", "correct horse battery")
        page.click("#by-password [type=submit]")
        page.wait_for_selector("[data-log-out]")
        assert page.url == console.service.address + reached


def test_an_admin_arranges_a_roles_menu_and_it_is_seen_at_the_next_click(console: Console, window: Open) -> None:
    role = console.admin.post(
        "/v1/roles", {"name": "teller", "permissions": ["levels.read", "orders.read", "roles.read"]}
    ).body
    console.user("teller", "teller")
    teller = window()
    page = teller.log_in("teller")
    assert page.locator("nav#menu a").all_inner_texts() == [
        "Orders",
        "Levels",
        "Roles and menus",
        "Password and sessions",
    ]

    admin = window()
    editor = admin.log_in("admin")
    admin.go(f"/roles/{role['id']}/menu")
    editor.click("[data-focus=orders-down]")
    editor.fill("[aria-label='English name: orders']", "Sales")
    editor.check("[aria-label='Hidden: Roles and menus']")
    editor.click("#new-group")
    editor.select_option("[aria-label='Group: Levels']", "group-1")
    editor.click("#menu-editor [type=submit]")
    expect(editor.locator("#whose")).to_contain_text("a menu of its own")
    expect(editor.locator("[aria-label='English name: orders']")).to_have_value("Sales")

    teller.go("/orders")
    assert page.locator("nav#menu a").all_inner_texts() == ["Sales", "Password and sessions", "Levels"]
    # Hiding takes no permission away.
    assert teller.go("/roles").locator("h1").inner_text() == "Roles and menus"
    assert teller.go(f"/roles/{role['id']}/menu").locator("[type=submit]").count() == 0
    editor.click("#default")
    expect(editor.locator("#whose")).to_contain_text("the default menu")


def test_staff_finds_a_customer_by_part_of_its_name_and_orders_for_it(console: Console, window: Open) -> None:
    customer = console.admin.post("/v1/customers", {"name": "欧阳修 Ouyang", "mobile": "+8613700137000"}).body
    console.admin.post(f"/v1/customers/{customer['id']}/recharges", {"amount": "10.00"})
    product = {"sku": "staffed", "name": "Staffed", "unit_price": "0.10", "executor": "simulated"}
    assert console.admin.post("/v1/products", product).status == 201
    staff = window()
    page = staff.log_in("operator")
    staff.go("/place")
    page.select_option("[name=product]", "staffed")
    page.fill("[role=combobox]", "阳修")
    expect(page.locator("[role=option]")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("[role=combobox]")).to_have_value("欧阳修 Ouyang")
    expect(page.locator("#quote")).to_contain_text("9.90 CNY")
    page.click("#place [type=submit]")
    page.wait_for_url("**/orders/ord_*")
    expect(page.locator("#facts")).to_contain_text("欧阳修 Ouyang")


def test_what_is_exported_is_what_is_searched_for(console: Console, window: Open) -> None:
    staff = window()
    page = staff.log_in("operator")
    staff.go("/orders?status=completed")

    with page.expect_download() as download:
        page.click("text=Export CSV")

    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert lines[0].startswith("id,placed_at")
    assert {line.split(",")[3] for line in lines[1:]} <= {"completed"}


def test_whoever_runs_it_sees_queues_workers_and_what_to_mend(console: Console, window: Open) -> None:
    admin = window()
    page = admin.log_in("admin")
    to_page(page, "Queues and workers")
    expect(page.locator("#queues tbody tr")).to_have_count(5)
    expect(page.locator("#queues .badge")).to_have_count(0)
    expect(page.locator("#workers tbody tr").first).to_contain_text("idle")
    to_page(page, "Settings check")
    expect(page.locator("#findings")).to_contain_text("session cookie")
    expect(page.locator("#verdict")).to_contain_text("should be looked at")


def test_queues_and_read_models_are_shown_while_the_service_is_not_ready(console: Console, window: Open) -> None:
    def drain(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, status=503, json=answer.json() | {"status": "draining"})

    admin = window()
    page = admin.log_in("admin")
    page.route("**/readyz", drain)
    to_page(page, "Queues and workers")

    expect(page.locator("#said")).to_have_text("The process that answered is about to stop.")
    expect(page.locator("#queues tbody tr")).to_have_count(5)
    expect(page.locator("#models tbody tr").first).to_contain_text("current")


def test_the_dashboard_draws_thirty_days_and_has_them_as_a_table(console: Console, window: Open) -> None:
    customer = console.admin.post("/v1/customers", {"name": "孙尚香"}).body
    assert console.admin.post(f"/v1/customers/{customer['id']}/recharges", {"amount": "1.00"}).status == 201
    page = window().log_in("admin")
    # One picture a currency; other tests may have more of them.
    drawn = page.locator("#over-time figure", has=page.locator("svg[role=img][aria-label$=CNY]"))
    expect(drawn).to_have_count(1)
    expect(drawn.locator("polyline")).to_have_count(2)
    drawn.locator("summary").click()
    expect(drawn.locator("tbody tr")).to_have_count(30)


def test_somebody_without_a_password_logs_in_by_a_code_and_sets_one(console: Console, window: Open) -> None:
    made = console.admin.post("/v1/users", {"username": "mo", "role": "operator", "mobile": "+8613700137001"})
    assert made.status == 201, made.body
    person = window()
    page = person.go("/login")
    page.fill("#by-code [name=mobile]", "13700137001")
    page.click("[data-send]")
    page.fill("#by-code [name=code]", console.login_code("+8613700137001"))
    page.click("#by-code [type=submit]")
    page.wait_for_selector("[data-log-out]")
    person.go("/account")
    page.fill("#password [name=new_password]", "a fine new phrase")
    page.click("#password [type=submit]")
    page.wait_for_selector("#password [name=password]")
    window().log_in("mo", "a fine new phrase")


def test_another_role_sends_nobody_to_the_login_whose_page_asks_much_at_once(console: Console, window: Open) -> None:
    permissions = ["trial_balance.read", "orders.read"]
    for name in ("watcher", "guard"):
        assert console.admin.post("/v1/roles", {"name": name, "permissions": permissions}).status == 201
    console.user("quinn", "watcher")
    (user,) = console.admin.get("/v1/users?username=quinn").body["data"]
    person = window()
    page = person.log_in("quinn")
    for role in ("guard", "watcher", "guard", "watcher"):
        console.admin.request("PATCH", f"/v1/users/{user['id']}", {"role": role})
        # Ten at once meet a session that is given a new id.
        statuses = page.evaluate(
            """async () => {
              const { read } = await import("/console/api.js");
              return Promise.all([...Array(10)].map(() => read("/v1/me").then((me) => me.role)));
            }"""
        )
        assert statuses == [role] * 10
    assert page.url.rstrip("/") == console.service.address


def test_an_admin_gives_a_customer_a_login_and_sees_its_statement(console: Console, window: Open) -> None:
    customer = console.admin.post("/v1/customers", {"name": "诸葛亮"}).body
    console.admin.post(f"/v1/customers/{customer['id']}/recharges", {"amount": "12.34"})
    admin = window()
    page = admin.log_in("admin")
    to_page(page, "Users")
    page.click("text=New user")
    page.fill("#editor [name=username]", "zhuge")
    page.select_option("#editor [name=role]", "customer")
    page.fill("#editor [name=password]", PASSWORD)
    page.fill("#editor [role=combobox]", "诸葛")
    page.click("#editor [role=option]")
    page.click("#editor [type=submit]")
    expect(page.locator("tbody")).to_contain_text("zhuge")
    own = window().log_in("zhuge")
    expect(own.locator("#balance")).to_contain_text("12.34 CNY")

    admin.go("/statement")
    page.fill("[role=combobox]", "诸葛")
    page.click("[role=option]")
    expect(page.locator("#facts")).to_contain_text("12.34 CNY")
    expect(page.locator("#lines tbody tr")).to_have_count(1)
