"""Subscriptions over HTTP: secrets once, addresses that are refused, who may, and what people do to their progress."""

from __future__ import annotations

from typing import Any

import pytest
from standardwebhooks import Webhook

from directory_front import Front
from ledger.commands import Recharge
from ledger.directory.models import WebhookDelivery
from ledger.executor_settings import secret_bytes
from ledger.ids import new_id
from ledger.webhooks.types import SUBSCRIBABLE
from ledger.webhooks.urls import url_problem
from submissions import submission

REFUSED_URLS = (
    "http://example.org/", "ftp://example.org/", "https://", "https:///path", "//example.org", "example.org",
    "https://user@example.org/", "https://user:word@example.org/", "https://@example.org/", "https://example.org/#x",
    "https://example.org:0/", "https://example.org:22/", "https://example.org:80/", "https://example.org:65536/",
    "https://example.org:x/", "https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/",
    "https://intranet/", "https://db.internal/", "https://printer.local/", "https://x.home.arpa/",
    "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/",
    "https://0.0.0.0/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/", "https://metadata.google.internal/", "https://[::1]/",
    "https://[::]/", "https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:169.254.169.254]/", "https://[fe80::1%25eth0]/", "https://[::1", "https://exa mple.org/",
    "https://example.org/\\evil", "https://example.org%2f@evil.test/", "https://ex%61mple.org/", "https://é.example/",
    "https://192.168.1.1./", "https://example.org\t/", "javascript:alert(1)", "file:///etc/passwd",
    "gopher://example.org/", "https://127.0.0.1.:8443/", "https://1.1.1.1.0x7f/",
)  # fmt: skip
GOOD_URLS = (
    "https://example.org", "https://example.org/", "https://example.org:443/x", "https://example.org:8443/x?y=z",
    "https://sub.example.org./x", "https://93.184.216.34/x", "https://[2606:2800:220:1:248:1893:25c8:1946]/x",
)  # fmt: skip


def recharge(front: Front, customer_id: str, times: int = 1) -> None:
    for _ in range(times):
        command = Recharge(account_id=customer_id, amount_minor=1, currency="CNY")
        assert front.services.ledger.append(submission(command)).error is None


def test_a_secret_is_shown_when_it_is_made_and_renewed_and_never_else(front: Front) -> None:
    made = front.create("webhooks")
    renewed = front.ask("POST", f"webhooks/{made['id']}/secret", {})

    assert made["secret"].startswith("whsec_") and len(secret_bytes(made["secret"])) == 32
    assert renewed.status_code == 200 and renewed.json["secret"] != made["secret"]
    assert Webhook(renewed.json["secret"]) is not None
    assert renewed.json["previous_secret_until"] > renewed.json["updated_at"]
    shown = [front.read("webhooks", made["id"]), *front.list("webhooks")]
    shown.append(front.ask("PATCH", f"webhooks/{made['id']}", {"active": False}).json)
    assert all("secret" not in each for each in shown)
    assert "whsec_" not in str(shown)


def test_a_new_subscription_begins_with_what_comes(front: Front) -> None:
    customer = front.create("customers")
    recharge(front, customer["id"], 3)

    made = front.create("webhooks", event_types=["balance.low", "balance.low", "order.placed"])
    recharge(front, customer["id"], 2)

    assert (made["position"], made["lag_events"], made["state"]) == (4, 0, "delivering")
    assert made["event_types"] == ["balance.low", "order.placed"]
    assert front.read("webhooks", made["id"])["lag_events"] == 2
    assert front.list("webhooks", position__lt="5") != [] and front.list("webhooks", position__gt="5") == []
    assert front.ask("POST", "webhooks", {"url": "https://a.example/", "event_types": list(SUBSCRIBABLE)}).json["id"]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_an_address_that_is_not_a_public_one_is_refused(url: str) -> None:
    assert url_problem(url, allow_private=False) is not None


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_public_https_address_is_taken(url: str) -> None:
    assert url_problem(url, allow_private=False) is None


def test_a_refused_address_is_said_at_its_field_and_nothing_is_stored(sqlite_front: Front) -> None:
    made = sqlite_front.create("webhooks")
    for url in ("http://example.org/", "https://10.0.0.1/", "https://a:b@example.org/"):
        for method, path, content, pointer in (
            ("POST", "webhooks", {"url": url}, "/url"),
            ("POST", "webhooks/bulk", [{"url": "https://a.example/"}, {"url": url}], "/1/url"),
            ("PATCH", f"webhooks/{made['id']}", {"url": url}, "/url"),
        ):
            answer = sqlite_front.ask(method, path, content)
            assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer), url

    assert [each["url"] for each in sqlite_front.list("webhooks")] == [made["url"]]


def test_private_addresses_and_http_are_taken_where_that_is_allowed() -> None:
    for url in ("http://127.0.0.1:8080/x", "http://localhost/", "https://10.0.0.1:22/", "http://intranet/"):
        assert url_problem(url, allow_private=True) is None
    for url in ("http://a:b@127.0.0.1/", "ftp://127.0.0.1/", "http://127.0.0.1:0/", "http://a/#x"):
        assert url_problem(url, allow_private=True) is not None


def test_a_replay_sets_the_position_within_the_log(front: Front) -> None:
    customer = front.create("customers")
    recharge(front, customer["id"], 4)
    made = front.create("webhooks")
    path = f"webhooks/{made['id']}/replay"

    answers = [front.ask("POST", path, {"from_position": number}) for number in (2, 6)]
    wrong: list[Any] = [{}, {"from_position": 7}, {"from_position": 0}, {"from_position": -1}, {"from_position": "2"}]
    wrong += [{"from_position": 1.5}, {"from_position": True}, {"from_position": None}]
    refused = [front.ask("POST", path, content) for content in [*wrong, {"from_position": 1, "x": 1}]]

    assert [(each.status_code, each.json["position"]) for each in answers] == [(200, 1), (200, 5)]
    assert {each.status_code for each in refused} == {422}
    assert {each.json["errors"][0]["pointer"] for each in refused} == {"/from_position", "/x"}
    assert front.read("webhooks", made["id"])["revision"] == made["revision"]


def test_a_paused_subscription_is_enabled_and_a_ping_is_asked_for(front: Front) -> None:
    made = front.create("webhooks", active=False)
    assert made["state"] == "paused"

    enabled = front.ask("POST", f"webhooks/{made['id']}/enable", {})
    ping = front.ask("POST", f"webhooks/{made['id']}/test", {})

    assert (enabled.json["state"], enabled.json["active"]) == ("delivering", True)
    assert ping.status_code == 202 and ping.json["message_id"].startswith("ping_")
    for action in ("enable", "test", "secret", "replay"):
        body = {"from_position": 1} if action == "replay" else {}
        assert front.ask("POST", f"webhooks/absent/{action}", body).status_code == 404
        assert front.ask("POST", f"webhooks/{made['id']}/{action}", {**body, "x": 1}).status_code == 422
        assert front.ask("POST", f"webhooks/{made['id']}/{action}", []).status_code == 422


def test_attempts_are_listed_filtered_and_paged(front: Front) -> None:
    made, other = front.create("webhooks"), front.create("webhooks")
    with front.services.directory.writing() as session:
        for number in range(5):
            attempt = WebhookDelivery(
                webhook_id=made["id"], id=new_id("dlv"), message_id=f"m{number}", type="order.placed"
            )
            attempt.position, attempt.attempt, attempt.code = number, 1, "delivered" if number % 2 else "timeout"
            attempt.duration_ms, attempt.attempted_at_us = number, number
            session.add(attempt)
    path = f"webhooks/{made['id']}/deliveries"

    page = front.ask("GET", path, query={"sort": "-id", "limit": "2"}).json
    following = front.ask("GET", path, query={"sort": "-id", "limit": "2", "cursor": page["next"]}).json

    assert [each["position"] for each in page["data"] + following["data"]] == [4, 3, 2, 1]
    assert len(front.list(path, code="timeout")) == 3 and len(front.list(path, position__gte="3")) == 2
    assert front.list(f"webhooks/{other['id']}/deliveries") == []
    assert front.ask("GET", "webhooks/absent/deliveries").status_code == 404
    assert front.ask("GET", path, query={"nonsense": "1"}).status_code == 422
    assert front.ask("DELETE", f"webhooks/{made['id']}").status_code == 204
    assert front.ask("GET", path).status_code == 404


def test_who_may_not_read_the_feed_subscribes_to_nothing(front: Front) -> None:
    made = front.create("webhooks")
    front.create("roles", name="hooker", permissions=["webhooks.read", "webhooks.write"])
    key = front.create("api-keys", role="hooker")
    limited = Front(front.app, front.services, key["key"])

    assert limited.ask("GET", "webhooks").status_code == 200
    for method, path, body in (
        ("POST", "webhooks", {"url": "https://a.example/"}),
        ("PATCH", f"webhooks/{made['id']}", {"url": "https://a.example/"}),
        ("POST", f"webhooks/{made['id']}/replay", {"from_position": 1}),
        ("POST", f"webhooks/{made['id']}/enable", {}),
    ):
        assert limited.ask(method, path, body).status_code == 403, path


def test_whoever_is_bound_to_a_customer_has_no_subscriptions(front: Front) -> None:
    customer = front.create("customers")
    made = front.create("webhooks", customer_id=customer["id"])
    bound = front.bound_to(customer["id"], "webhooks.read", "webhooks.write", "events.read")

    for method, path in (
        ("GET", "webhooks"), ("GET", f"webhooks/{made['id']}"), ("POST", "webhooks"),
        ("GET", f"webhooks/{made['id']}/deliveries"), ("POST", f"webhooks/{made['id']}/secret"),
    ):  # fmt: skip
        body = None if method == "GET" else {}
        assert bound.ask(method, path, body).status_code == 403, path


def test_thresholds_are_filtered_across_currencies(front: Front) -> None:
    front.create("customers", name="a", low_balance_threshold="10.50")
    front.create("customers", name="b", currency="JPY", low_balance_threshold="11")
    front.create("customers", name="c")

    assert [each["name"] for each in front.list("customers", low_balance_threshold__gte="11")] == ["b"]
    assert [each["name"] for each in front.list("customers", low_balance_threshold__isnull="true")] == ["c"]
    assert front.list("customers", low_balance_threshold="10.5")[0]["low_balance_threshold"] == "10.50"
    answer = front.ask("POST", "customers", {"name": "d", "low_balance_threshold": "1.005"})
    assert answer.json["errors"][0]["pointer"] == "/low_balance_threshold"
