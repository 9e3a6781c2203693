"""A command that is answered the short way is answered exactly as through the framework."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from api.short_way import ShortWay
from till import Till, new_key

OWN = {"Date", "X-Request-Id"}


def environment(till: Till, path: str, body: bytes = b'{"amount": "1.00"}', **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path.replace("CUSTOMER", till.customer_id),
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {till.front.secret}",
        "HTTP_IDEMPOTENCY_KEY": new_key(),
        "HTTP_X_REQUEST_ID": "req_given",
    } | {name: value for name, value in more.items() if value is not None}


def ask(application: Any, asked: dict[str, Any]) -> tuple[str, dict[str, str], Any]:
    begun: list[Any] = []
    content = b"".join(application(asked, lambda status, headers, _=None: begun.extend((status, dict(headers)))))
    status, headers = begun
    assert len(content) == int(headers["Content-Length"])
    return status, headers, json.loads(content)


def ways(till: Till) -> tuple[Any, Any]:
    short = till.front.app.wsgi_app
    assert isinstance(short, ShortWay)

    def refuse(*_: Any) -> Any:
        raise AssertionError("this went the long way")

    only_short = ShortWay([], till.front.app.extensions["services"], refuse)
    only_short._targets = short._targets
    return only_short, short._whole


def without_what_differs(document: Any) -> Any:
    """Leave out positions, versions, times and balances: the second command came after the first."""
    differing = {"position", "version", "recorded_at", "available", "held", "total", "id", "placed_position"}
    differing |= {"spendable", "request_id"}
    if isinstance(document, dict):
        return {name: without_what_differs(value) for name, value in document.items() if name not in differing}
    return document


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/customers/CUSTOMER/recharges", b'{"amount": "1.00", "memo": "\xe8\xae\xa2"}', 201),
        ("/v1/customers/CUSTOMER/deductions", b'{"amount": "1000000.00"}', 409),
        ("/v1/customers/CUSTOMER/deductions", b'{"amount": "1.001"}', 422),
        ("/v1/customers/CUSTOMER/deductions", b'{"amount": 1}', 422),
        ("/v1/customers/CUSTOMER/deductions", b'{"amount": "1", "amount": "1"}', 400),
        ("/v1/customers/CUSTOMER/deductions", b'{"amount": NaN}', 400),
        ("/v1/customers/CUSTOMER/deductions", b"[" * 1_000, 400),
        ("/v1/customers/CUSTOMER/deductions", b'{"memo": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
        ("/v1/customers/CUSTOMER/deductions", b"\xff", 400),
        ("/v1/customers/CUSTOMER/deductions", b" " * (1 << 20) + b"{}", 413),
        ("/v1/customers/cus_absent/recharges", b'{"amount": "1.00"}', 404),
        ("/v1/orders", b'{"customer_id": "cus_absent", "product": "sms", "quantity": 1}', 404),
        ("/v1/orders", b'{"product": "sms", "quantity": 1}', 422),
        ("/v1/orders/ord_absent/cancellation", b"{}", 404),
        ("/v1/orders/ord_absent/resolution", b'{"resolution": "failed", "reason": "x"}', 404),
        ("/v1/transactions/999/reversal", b'{"reason": "x"}', 404),
        ("/v1/transactions/1/reversal", b'{"reason": "x"}', 409),
    ],
)
def test_both_ways_give_the_same_answer(sqlite_till: Till, path: str, body: bytes, status: int) -> None:
    short, long = ways(sqlite_till)

    by_short = ask(short, environment(sqlite_till, path, body))
    by_long = ask(long, environment(sqlite_till, path, body))

    assert by_short[0] == by_long[0] and by_short[0].startswith(str(status))
    assert by_short[1].keys() == by_long[1].keys()
    ours = {"Ledger-Position", "Content-Length"}
    assert {name: text for name, text in by_short[1].items() if name not in ours} == {
        name: text for name, text in by_long[1].items() if name not in ours
    }
    assert without_what_differs(by_short[2]) == without_what_differs(by_long[2])


def test_a_repeat_gets_the_first_answer_whichever_way_either_goes(sqlite_till: Till) -> None:
    short, long = ways(sqlite_till)
    key = new_key()
    body = b'{"amount": "1.00", "reference": "r"}'
    path = "/v1/customers/CUSTOMER/recharges"

    first = ask(short, environment(sqlite_till, path, body, HTTP_IDEMPOTENCY_KEY=key))
    repeats = [ask(way, environment(sqlite_till, path, body, HTTP_IDEMPOTENCY_KEY=key)) for way in (short, long, short)]

    assert [each[2] for each in repeats] == [first[2]] * 3
    assert [each[1].get("Idempotent-Replayed") for each in (first, *repeats)] == [None, "true", "true", "true"]
    assert sqlite_till.balance()[2] == "1.00"


def test_nobody_unknown_or_without_the_permission_is_served_the_short_way(sqlite_till: Till) -> None:
    short, long = ways(sqlite_till)
    path = "/v1/customers/CUSTOMER/recharges"
    bound = sqlite_till.as_customer("orders.read").secret

    for secret, status in (("olk_unknown", 401), (bound, 403)):
        answers = [
            ask(way, environment(sqlite_till, path, HTTP_AUTHORIZATION=f"Bearer {secret}")) for way in (short, long)
        ]
        assert answers[0][0].startswith(str(status)) and answers[0][0] == answers[1][0]
        assert answers[0][1] == answers[1][1] and answers[0][2] == answers[1][2]


@pytest.mark.parametrize(
    "more",
    [
        {"REQUEST_METHOD": "PUT"},
        {"QUERY_STRING": "dry_run=true"},
        {"CONTENT_TYPE": "application/json; charset=utf-8"},
        {"CONTENT_TYPE": "text/plain"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "0"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_AUTHORIZATION": "Basic x"},
        {"HTTP_AUTHORIZATION": "Bearer "},
        {"HTTP_IDEMPOTENCY_KEY": ""},
        {"HTTP_IDEMPOTENCY_KEY": "k" * 256},
        {"HTTP_IDEMPOTENCY_KEY": "a\tb"},
        {"PATH_INFO": "/v1/customers/a b/recharges"},
        {"PATH_INFO": "/v1/transactions/0/reversal"},
        {"PATH_INFO": "/v1/batches"},
    ],
    ids=str,
)
def test_what_is_not_plain_goes_the_long_way(sqlite_till: Till, more: dict[str, Any]) -> None:
    short, _ = ways(sqlite_till)

    with pytest.raises(AssertionError, match="long way"):
        ask(short, environment(sqlite_till, "/v1/customers/CUSTOMER/recharges", **more))


def test_a_body_that_ends_early_is_refused(sqlite_till: Till) -> None:
    short, _ = ways(sqlite_till)

    answer = ask(short, environment(sqlite_till, "/v1/customers/CUSTOMER/recharges", CONTENT_LENGTH="99"))

    assert answer[0] == "400 BAD REQUEST" and answer[2]["code"] == "malformed"


def test_a_fault_of_ours_is_answered_without_its_traces(sqlite_till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = ways(sqlite_till)
    monkeypatch.setattr(sqlite_till.front.services.ledger, "append", lambda _: 1 / 0)

    answers = [ask(way, environment(sqlite_till, "/v1/customers/CUSTOMER/recharges")) for way in (short, long)]

    assert answers[0] == answers[1] and answers[0][0] == "500 INTERNAL SERVER ERROR"
    assert answers[0][2]["code"] == "internal" and "division" not in json.dumps(answers[0][2])
