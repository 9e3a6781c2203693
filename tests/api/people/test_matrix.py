"""Every route asked by every kind of principal, for its own, another's and what is not there: as declared, and a denied call
changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.test import TestResponse

from api.answers import SECURITY_HEADERS
from api.application import AREAS
from api.routing import LOGGED_IN, PUBLIC, Route
from browser import Browser, logged_in, new_user
from directory_front import Front
from ledger import schema
from ledger.directory.models import Base

ROUTES = [route for area in AREAS for route in area.routes]
TARGETS = ("own", "other", "absent")
ENDS_THE_SESSION = {"log_out", "end_all_sessions"}
STREAMS = {"read_events"}
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True, slots=True)
class Asker:
    """A kind of principal; `permissions` None: nobody known."""

    name: str
    ask: Callable[[str, str], TestResponse]
    permissions: frozenset[str] | None
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Two customers, each with an order, a transaction and a login; and directory objects."""

    front: Front
    ids: dict[str, dict[str, str]]
    askers: list[Asker]


def by_key(front: Front, secret: str) -> Callable[[str, str], TestResponse]:
    def ask(method: str, path: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": "matrix"}
        return front.app.test_client().open(path, method=method, json=body(method), headers=headers)

    return ask


def by_browser(browser: Browser) -> Callable[[str, str], TestResponse]:
    def ask(method: str, path: str) -> TestResponse:
        headers = {"X-CSRF-Token": browser.csrf, "Idempotency-Key": "matrix"}
        url = "https://ledger.test"
        return browser.client.open(path, method=method, json=body(method), headers=headers, base_url=url)

    return ask


def body(method: str) -> Any:
    return {} if method in ("POST", "PATCH", "PUT") else None


@pytest.fixture
def scene(front: Front) -> Scene:
    level, product = front.create("levels"), front.create("products")
    role = front.create("roles", name="custom", permissions=["levels.read", "orders.read", "customers.write"])
    ids: dict[str, dict[str, str]] = {}
    for target, name in (("own", "王芳"), ("other", "李伟")):
        customer = front.create("customers", name=name, level_id=level["id"])
        path = f"customers/{customer['id']}/recharges"
        recharge = front.ask("POST", path, {"amount": "10.00"}, Idempotency_Key=f"r-{target}").json
        order = {"customer_id": customer["id"], "product": product["sku"], "quantity": 1}
        placed = front.ask("POST", "orders", order, Idempotency_Key=f"o-{target}").json
        user = new_user(front, f"customer-{target}", "customer", customer_id=customer["id"])
        key = front.create("api-keys", role="auditor", customer_id=customer["id"])
        webhook = front.create("webhooks", customer_id=customer["id"])
        ids[target] = {
            "customer_id": customer["id"],
            "order_id": placed["order"]["id"],
            "position": str(recharge["position"]),
            "customers": customer["id"],
            "levels": level["id"],
            "products": product["id"],
            "roles": role["id"],
            "users": user["id"],
            "api-keys": key["id"],
            "webhooks": webhook["id"],
        }
    ids["absent"] = dict.fromkeys(ids["own"], "absent1") | {"position": "999999"}
    suspended = front.create("customers", name="暂停")
    front.ask("PATCH", f"customers/{suspended['id']}", {"status": "suspended"})
    new_user(front, "suspended", "customer", customer_id=suspended["id"])
    revoked = front.create("api-keys", role="admin")
    front.ask("PATCH", f"api-keys/{revoked['id']}", {"active": False})

    def person(username: str, role_name: str | None = None) -> Asker:
        if role_name is not None:
            new_user(front, username, role_name)
        browser = logged_in(front, username)
        me = browser.me()
        return Asker(username, by_browser(browser), frozenset(me["permissions"]), me["customer_id"])

    expired = logged_in(front, "customer-own")
    expired.ask("DELETE", "session")
    stranger = Browser(front.app)
    askers = [
        Asker("anonymous", by_browser(stranger), None),
        Asker("revoked key", by_key(front, revoked["key"]), None),
        Asker("expired session", by_browser(expired), None),
        person("admin", "admin"),
        person("operator", "operator"),
        person("auditor", "auditor"),
        person("custom", "custom"),
        person("customer-own"),
        person("customer-other"),
        person("suspended"),
    ]
    return Scene(front, ids, askers)


def path_of(route: Route, scene: Scene, target: str) -> str:
    known = scene.ids[target]
    kind = route.path.split("/")[2] if route.path.startswith("/v1/") else route.path.split("/")[1]
    values = {**known, "id": known.get(kind, "absent1"), "language": "xx", "name": "none.js", "idempotency_key": "none"}
    values |= {"level": "0", "place": "000.p/1"}
    return _PARAMETER.sub(lambda found: values[found[1]], route.path)


def wanted(route: Route, asker: Asker, scene: Scene, target: str) -> str:
    """Return what must come of it: open, stranger, forbidden, hidden or admitted."""
    if route.permission is PUBLIC:
        return "open"
    if asker.permissions is None:
        return "stranger"
    if route.permission is not LOGGED_IN and route.permission not in asker.permissions:
        return "forbidden"
    is_somebodys = "<token:customer_id>" in route.path or "<token:order_id>" in route.path
    is_anothers = asker.customer_id not in (None, scene.ids[target]["customer_id"])
    return "hidden" if is_somebodys and is_anothers else "admitted"


def is_page(route: Route) -> bool:
    return route.operation_id.startswith("page_")


def stored(front: Front) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    services = front.services
    for engine, metadata in ((services.engine, schema.metadata), (services.directory.engine, Base.metadata)):
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                found[table.name] = sorted(map(repr, connection.execute(sa.select(table))))
    return found


def test_every_route_admits_whom_it_says_and_a_denied_call_changes_nothing(scene: Scene) -> None:
    denied, admitted = [], []
    for route in ROUTES:
        for target in TARGETS:
            path = path_of(route, scene, target)
            if route.operation_id in STREAMS or (target != "own" and path == path_of(route, scene, "own")):
                continue
            for asker in scene.askers:
                expected = wanted(route, asker, scene, target)
                call = (asker, route, path, f"{asker.name}: {route.method} {path} ({target}) {expected}")
                if expected in ("stranger", "forbidden", "hidden"):
                    denied.append(
                        (*call, {"stranger": 303 if is_page(route) else 401, "forbidden": 403, "hidden": 404}[expected])
                    )
                elif route.method == "GET" or (target == "absent" and route.operation_id not in ENDS_THE_SESSION):
                    # What is admitted is asked where it changes nothing.
                    admitted.append(call)
    before = stored(scene.front)

    answers = [(what, asker.ask(route.method, path).status_code, status) for asker, route, path, what, status in denied]

    assert [each for each in answers if each[1] != each[2]] == []
    assert stored(scene.front) == before
    open_to = [(what, asker.ask(route.method, path).status_code) for asker, route, path, what in admitted]
    assert [each for each in open_to if each[1] in (401, 403, 500)] == []
    assert len(denied) > 500 and len(admitted) > 300, (len(denied), len(admitted))


def test_anothers_things_are_answered_as_what_is_not_there(scene: Scene) -> None:
    (customer,) = [each for each in scene.askers if each.name == "customer-own"]
    for route in ROUTES:
        if wanted(route, customer, scene, "other") == "hidden":
            other = customer.ask(route.method, path_of(route, scene, "other"))
            absent = customer.ask(route.method, path_of(route, scene, "absent"))
            bodies = [
                {
                    name: value
                    for name, value in each.json.items()
                    if name not in ("request_id", "account_id", "order_id", "detail")
                }
                for each in (other, absent)
            ]
            assert (other.status_code, bodies[0]) == (absent.status_code, bodies[1]), route.path


def test_nothing_is_changed_by_a_cookie_alone_or_from_another_site(scene: Scene) -> None:
    new_user(scene.front, "root", "admin")
    browser = logged_in(scene.front, "root")
    forged: list[dict[str, str]] = [
        {},
        {"X-CSRF-Token": "x" * 43},
        {"X-CSRF-Token": browser.csrf, "Sec-Fetch-Site": "cross-site"},
    ]
    before, answers = stored(scene.front), []
    for route in ROUTES:
        # A login has no session yet; it looks at the site alone, as its own tests show.
        if route.method in ("POST", "PATCH", "DELETE") and route.permission is not PUBLIC:
            for headers in forged:
                path, sent = path_of(route, scene, "own"), {**headers, "Idempotency-Key": "forged"}
                url = "https://ledger.test"
                answer = browser.client.open(
                    path, method=route.method, json=body(route.method), headers=sent, base_url=url
                )
                answers.append((route.method, path, answer.status_code, answer.json["code"]))

    assert {(status, code) for _, _, status, code in answers} == {(403, "csrf-token-wrong"), (403, "cross-site")}
    assert stored(scene.front) == before
    assert len(answers) > 100, len(answers)


def test_every_answer_forbids_what_no_answer_needs(scene: Scene) -> None:
    stranger, admin = scene.askers[0], scene.askers[3]
    seen = 0
    for route in ROUTES:
        for asker in (stranger, admin):
            if route.operation_id in STREAMS | ENDS_THE_SESSION:
                continue
            answer = asker.ask(route.method, path_of(route, scene, "absent"))
            names = {name: answer.headers.get(name) for name in (*SECURITY_HEADERS, "Content-Security-Policy")}
            assert all(names.values()), (route.path, names)
            assert (names["X-Content-Type-Options"], names["X-Frame-Options"]) == ("nosniff", "DENY"), route.path
            assert "unsafe" not in names["Content-Security-Policy"], route.path
            seen += 1
    assert seen > 180, seen
