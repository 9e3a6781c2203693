"""Requests that are none: each is answered with a documented problem that says where it is wrong, and records nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from api.application import AREAS
from api.routing import LOGGED_IN, PUBLIC, Route
from ledger import log
from ledger.reading import read
from till import Till, new_key

ROUTES = [route for area in AREAS for route in area.routes]
BAD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**63, 10**30, "", " ", "x" * 10_000, "\0", "a\nb", "\ud800", "１", "1e5", "NaN",
    "'; DROP TABLE events; --", "{}", "../../etc/passwd", [], [[]], {}, {"a": {"b": [1.5]}}, [None] * 100,
]  # fmt: skip
BAD_PARAMETERS = [
    "", " ", "x" * 5_000, "-1", "9" * 40, "1.5", "NaN", "é", "\0", "a,b", "2026", "true", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00 08:00", "%", "%FF", "Li4v", "null", "[]",
]  # fmt: skip
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "post_recharge": {"amount": "1.00"},
    "post_deduction": {"amount": "1.00"},
    "reverse_transaction": {"reason": "x"},
    "place_order": {"product": "sms", "quantity": 1},
    "cancel_order": {},
    "resolve_order": {"resolution": "failed", "reason": "x"},
    "post_batch": {"commands": [{"type": "cancellation", "idempotency_key": "k", "order_id": "absent"}]},
}


def with_body() -> list[Route]:
    return [route for route in ROUTES if route.operation_id in GOOD_BODIES]


def address(route: Route, till: Till) -> str:
    path = route.path.replace("<token:customer_id>", till.customer_id).replace("<position:position>", "2")
    path = path.replace("<level:level>", "0").replace("<tile:place>", "000.p/1")
    return re.sub(r"<[^>]+>", "absent", path)


def send(till: Till, route: Route, data: bytes, **headers: str) -> Any:
    given = {"Authorization": f"Bearer {till.front.secret}", "Idempotency-Key": new_key()}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    content_type = given.pop("Content-Type", "application/json")
    return till.front.app.test_client().open(
        address(route, till), method=route.method, data=data, content_type=content_type, headers=given
    )


def head(till: Till) -> int:
    return read(till.front.services.engine, log.head).position


@pytest.mark.parametrize("route", with_body(), ids=lambda route: route.operation_id)
def test_a_bad_value_in_any_field_is_answered_and_never_a_bug(sqlite_till: Till, route: Route) -> None:
    assert route.body is not None
    good = dict(GOOD_BODIES[route.operation_id])
    if "customer_id" in route.body.fields:
        good["customer_id"] = sqlite_till.customer_id
    for name in [*route.body.fields, "unknown", "__class__"]:
        for value in BAD_VALUES:
            answer = send(sqlite_till, route, json.dumps(good | {name: value}).encode())
            assert answer.status_code < 500, (name, value, answer.text)
            if answer.status_code >= 400:
                assert answer.mimetype == "application/problem+json"
            if answer.status_code == 422 and answer.json["code"] == "invalid-fields":
                assert any(each["pointer"].startswith(f"/{name}") for each in answer.json["errors"]), answer.text


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.query is not None], ids=lambda route: route.operation_id
)
def test_a_bad_value_in_any_parameter_is_answered_and_never_a_bug(sqlite_till: Till, route: Route) -> None:
    assert route.query is not None
    names = [each.data_key or name for name, each in route.query.fields.items()]
    body = json.dumps(GOOD_BODIES.get(route.operation_id, {})) if route.body is not None else None
    for name in [*names, "unknown"]:
        for value in BAD_PARAMETERS:
            answer = sqlite_till.front.app.test_client().open(
                address(route, sqlite_till),
                method=route.method,
                query_string={name: value},
                data=body,
                content_type="application/json" if body else None,
                headers={"Authorization": f"Bearer {sqlite_till.front.secret}", "Idempotency-Key": new_key()},
            )
            assert answer.status_code != 500, (name, value, answer.text)


@pytest.mark.parametrize("route", with_body(), ids=lambda route: route.operation_id)
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"a": 1}{', 400),
        (b"\xff\xfe{}", 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"amount": "1", "amount": "2"}', 400),
        (b'{"amount": NaN}', 400),
        (b'{"amount": Infinity}', 400),
        (b'{"amount": 1e999}', 400),
        (b'{"amount": ' + b"9" * 5_000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"a": "' + b'\\"' * 300_000, 400),
        (b'{"reason": {"a": ' * 40 + b"1" + b"}}" * 40, 400),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b" " * (1 << 20) + b" {}", 413),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_not_strict_json_is_refused(sqlite_till: Till, route: Route, data: bytes, status: int) -> None:
    if status == 413 and route.bytes_max != "request_bytes_max":
        status = 422
    before = head(sqlite_till)

    answer = send(sqlite_till, route, data)

    assert answer.status_code == status, answer.text
    assert head(sqlite_till) == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "nonsense"]
)
def test_a_body_of_another_type_is_refused(sqlite_till: Till, content_type: str) -> None:
    for route in with_body():
        assert send(sqlite_till, route, b"{}", Content_Type=content_type).status_code == 415


@pytest.mark.parametrize("key", ["k" * 256, "é", "a\tb"])
def test_a_key_that_is_no_key_is_refused(sqlite_till: Till, key: str) -> None:
    answer = send(sqlite_till, with_body()[0], b'{"amount": "1.00"}', Idempotency_Key=key)

    assert (answer.status_code, answer.json["code"]) == (400, "malformed")


def test_a_command_needs_its_key(sqlite_till: Till) -> None:
    for route in ROUTES:
        if route.idempotent:
            answer = send(sqlite_till, route, b"{}", Idempotency_Key="")
            assert (answer.status_code, answer.json["code"]) == (400, "idempotency-key-missing")


def test_a_parameter_given_twice_or_unknown_is_refused(sqlite_till: Till) -> None:
    client = sqlite_till.front.app.test_client()
    headers = {"Authorization": f"Bearer {sqlite_till.front.secret}"}

    twice = client.get("/v1/orders?limit=1&limit=2", headers=headers)
    unknown = client.get("/v1/trial-balance?limit=1", headers=headers)

    assert twice.json["errors"] == [{"parameter": "limit", "detail": "given more than once"}]
    assert unknown.json["errors"][0]["parameter"] == "limit"


def test_a_path_that_is_none_and_a_method_that_is_not_there_are_problems(sqlite_till: Till) -> None:
    client = sqlite_till.front.app.test_client()

    for path in (
        "/nope",
        "/v1",
        "/v1/orders/",
        "/v1//orders",
        "/v1/orders/é",
        "/v1/transactions/0/reversal",
        "/docs/x",
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json"), path
    wrong = client.delete("/v1/orders")
    assert wrong.status_code == 405
    assert set(wrong.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert client.options("/v1/orders").status_code == 200
    assert client.head("/healthz").data == b""


def test_a_request_keeps_its_id_when_it_is_a_token(sqlite_till: Till) -> None:
    client = sqlite_till.front.app.test_client()

    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    assert client.get("/healthz", headers={"X-Request-Id": "a b"}).headers["X-Request-Id"].startswith("req_")
    assert client.get("/nope").json["request_id"].startswith("req_")


def test_every_route_that_is_not_public_wants_to_know_who_asks(sqlite_till: Till) -> None:
    client = sqlite_till.front.app.test_client()
    nobody = sqlite_till.as_customer()

    for route in ROUTES:
        # Pages send a stranger to the login: see tests/console/test_pages.py.
        if route.permission is PUBLIC or route.tag == "console":
            continue
        path = address(route, sqlite_till)
        for header in (None, "", "Basic x", "Bearer", "Bearer nonsense", "Bearer \xff"):
            given = {} if header is None else {"Authorization": header}
            answer = client.open(path, method=route.method, headers=given)
            assert answer.status_code == 401, (route.path, header, answer.text)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        if route.permission is LOGGED_IN:
            continue
        refused = client.open(path, method=route.method, headers={"Authorization": f"Bearer {nobody.secret}"})
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden"), route.path
