"""Where a courier sends to, whatever an address or a name says: nothing private is ever connected to."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hook_receiver import Reply
from ledger.webhooks.settings import WebhookSettings
from post_office import FAST, PostOffice
from workers.executors import addresses
from workers.executors.connections import Connections
from workers.webhooks.messages import ping_message
from workers.webhooks.sending import Result, send
from workers.webhooks.subscriptions import Subscription

STRICT = WebhookSettings(timeout_s=1.0)
PRIVATE = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.31.255.255", "192.168.0.1", "100.64.0.1", "169.254.169.254",
    "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2001:0:7f00:1::", "fd00:ec2::254",
)  # fmt: skip


def subscription(url: str) -> Subscription:
    return Subscription(
        id="whk_1", url=url, types=frozenset(), customer_id=None, keys=(b"k",), revision=1, is_on=True, position=0, parts=0,
        failures=0, failing_since_us=None, due_at_us=0, ping=None, fence=1,
    )  # fmt: skip


def sent(url: str, settings: WebhookSettings = STRICT) -> Result:
    return send(ping_message("ping_1", "whk_1", 1), subscription(url), settings, Connections())


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let the resolver give these answers for names under .example, one after the other; return what was connected to."""
    given, real, connected = iter(answers), socket.getaddrinfo, []

    def resolve(host: str, port: int, *more: Any, **named: Any) -> Any:
        if not host.endswith(".example"):
            return real(host, port, *more, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in next(given)]

    def connect(address: tuple[str, int], **named: Any) -> socket.socket:
        connected.append(address[0])
        raise OSError("nothing is connected to in this test")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    return connected


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_with_a_private_address_is_never_connected_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected = answering(monkeypatch, [address])

    result = sent("https://hooks.example/x")

    assert (result.code, connected) == ("address-refused", [])
    host = f"[{address}]" if ":" in address else address
    assert sent(f"https://{host}/x").code == "address-refused" and connected == []


def test_of_several_addresses_only_public_ones_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = answering(monkeypatch, ["127.0.0.1", "93.184.216.34", "169.254.169.254", "93.184.216.35"])

    assert sent("https://hooks.example/x").code == "unreachable"
    assert connected == ["93.184.216.34", "93.184.216.35"]


def test_a_name_that_changes_its_mind_is_asked_once_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = answering(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])

    first, second = sent("https://hooks.example/x"), sent("https://hooks.example/x")

    assert (first.code, second.code) == ("unreachable", "address-refused")
    assert connected == ["93.184.216.34"]


def test_an_address_that_was_taken_when_that_was_allowed_is_refused_when_it_is_no_more(
    sqlite_office: PostOffice,
) -> None:
    office = sqlite_office
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    courier = office.courier(replace(FAST, allow_private=False))

    office.deliver_until(lambda: office.read(webhook_id)["failures"] > 0, courier)

    assert office.read(webhook_id)["last_code"] == "address-refused"
    assert office.receiver.received == []


def test_a_redirect_is_a_failure_and_nothing_follows_it(sqlite_office: PostOffice) -> None:
    receiver = sqlite_office.receiver
    for status in (301, 302, 303, 307, 308):
        receiver.behaviour = lambda path, message_id, status=status: Reply(
            status=status, headers={"Location": receiver.url("/elsewhere")}
        )
        assert sent(receiver.url(), FAST).code == f"http-{status}"
    assert {each.path for each in receiver.received} == {"/hook"}


def test_an_endless_answer_is_not_read_and_its_status_counts(sqlite_office: PostOffice) -> None:
    receiver = sqlite_office.receiver
    receiver.behaviour = lambda path, message_id: Reply(status=200, body=b"x" * 10_000_000)
    assert sent(receiver.url(), FAST).is_delivered
    receiver.behaviour = lambda path, message_id: Reply(status=500, body=b"x" * 10_000_000)
    assert sent(receiver.url(), FAST).code == "http-500"


def test_a_call_ends_at_its_deadline(sqlite_office: PostOffice) -> None:
    receiver = sqlite_office.receiver
    receiver.behaviour = lambda path, message_id: Reply(delay_s=3.0)
    began_s = time.monotonic()

    result = sent(receiver.url(), replace(FAST, timeout_s=0.4))

    assert result.code == "timeout" and time.monotonic() - began_s < 1.5


def test_a_query_is_sent_with_the_path(sqlite_office: PostOffice) -> None:
    assert sent(sqlite_office.receiver.url("/hook?token=x&y=1"), FAST).is_delivered
    assert sqlite_office.receiver.received[0].path == "/hook?token=x&y=1"


def test_the_example_of_the_guide_verifies_what_is_sent(sqlite_office: PostOffice) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text("utf-8")
    example = re.search(r"<!-- example -->\n```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    office, handled = sqlite_office, []
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    office.deliver_all(webhook_id)
    (received,) = office.receiver.taken()
    handle: Callable[[str, Any], None] = lambda kind, data: handled.append((kind, data["position"]))  # noqa: E731
    scope: dict[str, Any] = {"SECRET": office.receiver.secrets["/hook"], "handle": handle, "__name__": "example"}
    exec(example[1], scope)
    client = scope["app"].test_client()

    def post(body: bytes) -> int:
        return int(client.post("/hooks", data=body, headers=received.headers).status_code)

    assert [post(received.body), post(received.body), post(received.body + b" ")] == [204, 204, 401]
    assert handled == [("recharge.posted", 2)]
