"""Objects of the directory are created, read, changed and deleted over HTTP."""

import pytest
import sqlalchemy as sa

from directory_front import GOOD, SECRETS
from ledger.commands import Deduct, PlaceOrder, Recharge
from ledger.directory.models import Customer
from ledger.ids import new_id
from submissions import submission

CHANGES = {
    "customers": {"contact": "somebody"},
    "levels": {"name": "Silver"},
    "products": {"name": "text"},
    "roles": {"name": "clerk"},
    "api-keys": {"name": "desk"},
    "webhooks": {"description": "desk"},
}


def recharge(front, customer_id: str, amount_minor: int) -> None:  # type: ignore[no-untyped-def]
    command = Recharge(account_id=customer_id, amount_minor=amount_minor, currency="CNY")
    assert front.services.ledger.append(submission(command)).error is None


@pytest.mark.parametrize("path", sorted(CHANGES))
def test_an_object_is_created_read_changed_and_deleted(front, path: str) -> None:  # type: ignore[no-untyped-def]
    made = front.ask("POST", path, GOOD[path])
    assert made.status_code == 201 and made.headers["ETag"] == f'"{made.json["revision"]}"'
    location = made.headers["Location"].removeprefix("/v1/")
    assert location == f"{path}/{made.json['id']}"

    found = front.ask("GET", location)
    shown = {name: value for name, value in made.json.items() if name != SECRETS.get(path)}
    assert (found.status_code, found.json, found.headers["ETag"]) == (200, shown, made.headers["ETag"])
    assert shown in front.list(path)

    changed = front.ask("PATCH", location, CHANGES[path], If_Match=found.headers["ETag"])
    assert changed.status_code == 200 and changed.json.items() >= CHANGES[path].items()
    assert changed.json["revision"] > shown["revision"] and front.ask("GET", location).json == changed.json

    gone = front.ask("DELETE", location, If_Match=changed.headers["ETag"])
    assert (gone.status_code, gone.data) == (204, b"")
    assert front.ask("GET", location).json["code"] == "not-found"
    assert [front.ask(method, location, {}).status_code for method in ("GET", "PATCH")] == [404, 404]
    assert front.ask("DELETE", location).status_code == 404


@pytest.mark.parametrize("path", sorted(CHANGES))
def test_a_change_of_another_revision_is_refused(sqlite_front, path: str) -> None:  # type: ignore[no-untyped-def]
    made = sqlite_front.ask("POST", path, GOOD[path])
    location, old = f"{path}/{made.json['id']}", made.headers["ETag"]
    current = sqlite_front.ask("PATCH", location, CHANGES[path]).headers["ETag"]
    before = sqlite_front.ask("GET", location).json

    for stale in (old, f"W/{current}", '"0"', '"x"', f"{old}, W/{current}", '"99999999999999999999"'):
        for method in ("PATCH", "DELETE"):
            answer = sqlite_front.ask(method, location, CHANGES[path], If_Match=stale)
            assert (answer.status_code, answer.json["code"]) == (412, "revision-mismatch"), stale
    assert sqlite_front.ask("PATCH", location, {}, If_Match="3").status_code == 400
    assert sqlite_front.ask("GET", location).json == before

    for right in (current, "*"):
        assert sqlite_front.ask("PATCH", location, CHANGES[path], If_Match=right).status_code == 200
    latest = sqlite_front.ask("GET", location).headers["ETag"]
    assert sqlite_front.ask("DELETE", location, If_Match=f"{old}, {latest}").status_code == 204


def test_a_new_customer_has_an_account_with_its_level_and_the_services_currency(front) -> None:  # type: ignore[no-untyped-def]
    level = front.create("levels")

    made = front.create("customers", level_id=level["id"], credit_limit="50.00", mobile="+8613800000000")

    account = front.services.ledger.accounts([made["id"]])[made["id"]]
    assert (account.discount_percent, account.credit_limit_minor, account.currency) == ("90", 5_000, "CNY")
    assert front.create("customers", currency="JPY", credit_limit="50")["credit_limit"] == "50"


def test_a_levels_new_percentage_reaches_the_accounts_before_the_answer(front) -> None:  # type: ignore[no-untyped-def]
    level = front.create("levels")
    customer_id = front.create("customers", level_id=level["id"])["id"]

    assert front.ask("PATCH", f"levels/{level['id']}", {"discount_percent": "80.5"}).status_code == 200

    assert front.services.ledger.accounts([customer_id])[customer_id].discount_percent == "80.5"


def test_what_others_are_changing_is_not_recorded_as_who_changes_a_levels_percentage(front) -> None:  # type: ignore[no-untyped-def]
    level = front.create("levels")
    own, other = front.create("customers", level_id=level["id"])["id"], front.create("customers")["id"]
    with front.services.directory.writing() as session:
        changing = sa.update(Customer).where(Customer.id == other)
        session.execute(changing.values(credit_limit_minor=5_000, in_step=0, revision=Customer.revision + 1))
    clerk = type(front)(front.app, front.services, front.create("api-keys", role="admin")["key"])

    def actors(customer_id: str) -> list[str]:
        events = front.ask("GET", "events", query={"customer_id": customer_id}).json["data"]
        return [each["actor"] for each in events]

    assert clerk.ask("PATCH", f"levels/{level['id']}", {"discount_percent": "80"}).status_code == 200

    me, clerks = (each.ask("GET", "me").json["actor"] for each in (front, clerk))
    assert me != clerks
    assert (actors(own), actors(other)) == ([me, clerks], [me])
    assert front.services.ledger.accounts([other])[other].credit_limit_minor == 0


def test_what_the_ledger_refuses_of_a_change_is_a_conflict(front) -> None:  # type: ignore[no-untyped-def]
    customer_id = front.create("customers", credit_limit="50.00")["id"]
    front.services.ledger.append(submission(Deduct(account_id=customer_id, amount_minor=4_000, currency="CNY")))

    answer = front.ask("PATCH", f"customers/{customer_id}", {"credit_limit": "39.99"})

    assert (answer.status_code, answer.json["code"], answer.json["used"]) == (409, "credit-limit-in-use", "40.00")
    assert front.read("customers", customer_id)["credit_limit"] == "50.00"


def test_a_customer_with_history_is_deactivated_and_its_keys_end_at_once(front) -> None:  # type: ignore[no-untyped-def]
    customer_id = front.create("customers")["id"]
    bound = front.bound_to(customer_id, "customers.read")
    recharge(front, customer_id, 100)
    assert front.ask("DELETE", f"customers/{customer_id}").json["code"] == "in-use"
    assert bound.ask("GET", "customers").status_code == 200
    front.services.ledger.append(submission(Deduct(account_id=customer_id, amount_minor=100, currency="CNY")))

    answer = front.ask("DELETE", f"customers/{customer_id}")

    assert (answer.status_code, answer.json["status"]) == (200, "deactivated")
    assert bound.ask("GET", "customers").status_code == 401


def test_a_customer_is_deactivated_by_deleting_it_and_not_otherwise(front) -> None:  # type: ignore[no-untyped-def]
    customer_id = front.create("customers")["id"]
    bound = front.bound_to(customer_id, "customers.read")
    recharge(front, customer_id, 100)
    before = front.read("customers", customer_id)

    refused = front.ask("PATCH", f"customers/{customer_id}", {"status": "deactivated", "contact": "somebody"})

    assert (refused.status_code, [each["pointer"] for each in refused.json["errors"]]) == (422, ["/status"])
    assert front.read("customers", customer_id) == before
    assert bound.ask("GET", "customers").status_code == 200

    front.services.ledger.append(submission(Deduct(account_id=customer_id, amount_minor=100, currency="CNY")))
    assert front.ask("DELETE", f"customers/{customer_id}").json["status"] == "deactivated"
    again = front.ask("PATCH", f"customers/{customer_id}", {"status": "deactivated", "contact": "somebody"})
    (key,) = front.list("api-keys", customer_id=customer_id)

    assert (again.status_code, again.json["status"], again.json["contact"]) == (200, "deactivated", "somebody")
    assert (key["active"], bound.ask("GET", "customers").status_code) == (False, 401)
    assert front.ask("PATCH", f"api-keys/{key['id']}", {"active": True}).status_code == 200
    assert bound.ask("GET", "customers").status_code == 401
    assert front.ask("PATCH", f"customers/{customer_id}", {"status": "active"}).status_code == 200
    assert bound.ask("GET", "customers").status_code == 200


def test_a_product_that_was_ordered_is_taken_off_sale(front) -> None:  # type: ignore[no-untyped-def]
    product = front.create("products")
    customer_id = front.create("customers")["id"]
    recharge(front, customer_id, 1_000)
    order = PlaceOrder(
        account_id=customer_id,
        product="sms",
        quantity=10,
        order_id=new_id("ord"),
        terms=front.services.terms_of("sms"),
    )
    assert front.services.ledger.append(submission(order)).error is None

    answer = front.ask("DELETE", f"products/{product['id']}")

    assert (answer.status_code, answer.json["active"]) == (200, False)
    assert front.services.terms_of("sms") is None


def test_a_product_that_is_taken_off_sale_is_answered_when_the_directory_goes_away_right_behind_it(front) -> None:  # type: ignore[no-untyped-def]
    product, engine = front.create("products"), front.services.directory.engine
    customer_id = front.create("customers")["id"]
    recharge(front, customer_id, 1_000)
    terms = front.services.terms_of("sms")
    order = PlaceOrder(account_id=customer_id, product="sms", quantity=10, order_id=new_id("ord"), terms=terms)
    assert front.services.ledger.append(submission(order)).error is None

    def go_away(*_: object) -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, ConnectionError("gone"))

    def last(_: object) -> None:
        sa.event.listen(engine, "before_cursor_execute", go_away)

    sa.event.listen(engine, "commit", last)
    answer = front.ask("DELETE", f"products/{product['id']}")
    sa.event.remove(engine, "commit", last)
    sa.event.remove(engine, "before_cursor_execute", go_away)

    assert (answer.status_code, answer.json["active"]) == (200, False)
    assert answer.headers["ETag"] == '"2"'
    assert front.read("products", product["id"]) == answer.json


def test_a_price_that_was_changed_is_used_at_once(sqlite_front) -> None:  # type: ignore[no-untyped-def]
    product = sqlite_front.create("products")
    assert sqlite_front.services.terms_of("sms").unit_price == "0.10"

    sqlite_front.ask("PATCH", f"products/{product['id']}", {"unit_price": "0.000001"})

    assert sqlite_front.services.terms_of("sms").unit_price == "0.000001"


def test_an_executors_secret_is_kept_and_not_shown(sqlite_front) -> None:  # type: ignore[no-untyped-def]
    settings = {"url": "https://a.example/orders", "secret": "whsec_c2VjcmV0"}
    made = sqlite_front.create("products", executor="http", executor_settings=settings)
    location = f"products/{made['id']}"
    assert made["executor_settings"] == {**settings, "secret": "(set)"}

    again = sqlite_front.ask("PATCH", location, {"executor_settings": made["executor_settings"]})
    assert again.status_code == 200

    for wrong, pointer in (
        ({"executor_settings": {"secret": "(set)"}}, "/executor_settings/url"),
        ({"executor": "simulated"}, "/executor_settings/secret"),
        ({"executor": "nobody"}, "/executor"),
        ({"executor_settings": {"url": "file:///etc/passwd"}}, "/executor_settings/url"),
    ):
        answer = sqlite_front.ask("PATCH", location, wrong)
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer)
    assert sqlite_front.read("products", made["id"]) == again.json


def test_how_a_product_is_executed_is_not_told_to_customers(sqlite_front) -> None:  # type: ignore[no-untyped-def]
    settings = {"url": "https://inside.example/orders", "timeout_s": 3}
    made = sqlite_front.create("products", executor="http", executor_settings=settings)
    bound = sqlite_front.bound_to(sqlite_front.create("customers")["id"], "products.read")
    told = {name: value for name, value in made.items() if name != "executor_settings"}

    read, listed = bound.ask("GET", f"products/{made['id']}"), bound.ask("GET", "products")
    chosen = bound.list("products", fields="sku,executor_settings")

    assert read.json == told and listed.json["data"] == [told]
    assert read.headers["ETag"] == f'"{made["revision"]}"'
    assert chosen == [{"sku": "sms"}]
    assert "inside.example" not in read.text + listed.text
    assert sqlite_front.read("products", made["id"])["executor_settings"] == settings
    assert sqlite_front.list("products", fields="executor_settings") == [{"executor_settings": settings}]


def test_a_keys_secret_is_answered_once_and_ends_with_the_key(front) -> None:  # type: ignore[no-untyped-def]
    made = front.create("api-keys", role="auditor")
    other = type(front)(front.app, front.services, made["key"])
    assert other.ask("GET", "customers").status_code == 200
    assert other.ask("POST", "customers", {"name": "x"}).json["code"] == "forbidden"
    assert "key" not in front.read("api-keys", made["id"]) and made["key"] not in str(front.list("api-keys"))

    assert front.ask("PATCH", f"api-keys/{made['id']}", {"active": False}).status_code == 200
    assert other.ask("GET", "customers").status_code == 401
    assert front.ask("PATCH", f"api-keys/{made['id']}", {"active": True}).status_code == 200
    assert other.ask("GET", "customers").status_code == 200
    assert front.ask("DELETE", f"api-keys/{made['id']}").status_code == 204
    assert other.ask("GET", "customers").status_code == 401


def test_a_roles_new_permissions_are_felt_at_once(front) -> None:  # type: ignore[no-untyped-def]
    role = front.create("roles", permissions=["levels.read"])
    clerk = type(front)(front.app, front.services, front.create("api-keys", role=role["name"])["key"])
    assert clerk.ask("GET", "levels").status_code == 200

    front.ask("PATCH", f"roles/{role['id']}", {"permissions": ["products.read"]})

    assert [clerk.ask("GET", path).status_code for path in ("levels", "products")] == [403, 200]
    assert front.ask("DELETE", f"roles/{role['id']}").json["code"] == "in-use"


def test_who_is_bound_to_a_customer_sees_that_customer_only_and_changes_nothing(front) -> None:  # type: ignore[no-untyped-def]
    own, other = front.create("customers", name="own"), front.create("customers", name="other")
    front.create("products")
    permissions = ("customers.read", "customers.write", "customers.delete", "products.read", "api_keys.read")
    bound = front.bound_to(own["id"], *permissions, "api_keys.write")
    front.bound_to(other["id"])

    assert bound.list("customers") == [own] and bound.list("customers", id=other["id"]) == []
    assert bound.read("customers", own["id"]) == own
    refused, absent = (bound.ask("GET", f"customers/{each}") for each in (other["id"], "cus_absent"))
    hidden = {"request_id", "id", "detail"}
    assert {k: v for k, v in refused.json.items() if k not in hidden} == {
        k: v for k, v in absent.json.items() if k not in hidden
    }
    assert refused.json["detail"] == f"no customer {other['id']}"
    assert {each["customer_id"] for each in bound.list("api-keys")} == {own["id"]}
    assert len(bound.list("products")) == 1

    for method, path, body in (
        ("POST", "customers", {"name": "x"}),
        ("POST", "customers/bulk", [{"name": "x"}]),
        ("PATCH", f"customers/{own['id']}", {"credit_limit": "1000"}),
        ("DELETE", f"customers/{own['id']}", None),
        ("POST", "api-keys", {"name": "x", "role": "admin"}),
    ):
        assert bound.ask(method, path, body).status_code == 403
    assert front.read("customers", own["id"]) == own


@pytest.mark.parametrize("path", ["levels", "products", "roles"])
def test_a_name_that_is_taken_is_a_conflict(front, path: str) -> None:  # type: ignore[no-untyped-def]
    front.create(path)

    answer = front.ask("POST", path, GOOD[path])

    assert (answer.status_code, answer.json["code"]) == (409, "already-exists")
    assert len([each for each in front.list(path) if not each.get("builtin")]) == 1


def test_a_level_in_use_and_a_role_that_came_ready_stay(front) -> None:  # type: ignore[no-untyped-def]
    level = front.create("levels")
    front.create("customers", level_id=level["id"])
    (admin,) = front.list("roles", name="admin")

    for location in (f"levels/{level['id']}", f"roles/{admin['id']}"):
        answer = front.ask("DELETE", location)
        assert (answer.status_code, answer.json["code"]) == (409, "in-use")
    answer = front.ask("PATCH", f"roles/{admin['id']}", {"permissions": []})
    assert answer.json["errors"][0]["pointer"] == "/permissions"
