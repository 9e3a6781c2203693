"""The HTTP executor against a real server: deadlines, addresses, signatures, and answers that are hard to read."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address

import pytest
from standardwebhooks import Webhook

from executor_stub import ExecutorStub, Reply
from workers.executors import addresses, connections
from workers.executors.addresses import AddressRefused, Unresolved, addresses_of
from workers.executors.answers import retry_after_s
from workers.executors.http import HttpExecutor, open_http
from workers.executors.protocol import (
    CancellationRefused,
    Cancelled,
    Completed,
    Contradiction,
    Executing,
    ExecutorOrder,
    Failed,
    NotKnown,
    Unknown,
    UnusableExecutor,
)

ORDER = ExecutorOrder(
    order_id="ord_1",
    product="sms",
    quantity=100,
    params=None,
    amount="10.00",
    currency="CNY",
    reference="r-1",
    started_at_us=0,
)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def executor(stub: ExecutorStub, **settings: object) -> HttpExecutor:
    return open_http({"url": stub.url} | settings, timeout_s=1.0, call_s_max=15.0, allow_private=True)


def answering(stub: ExecutorStub, reply: Reply) -> HttpExecutor:
    stub.behaviour = lambda stub, call: reply
    return executor(stub)


def test_each_answer_to_a_call_is_read_as_the_protocol_says(stub: ExecutorStub) -> None:
    def read(status: int, document: object) -> object:
        return answering(stub, Reply(status=status, document=document)).execute(ORDER, 1.0)

    assert read(200, {"status": "completed", "delivered": 100}) == Completed(delivered=100)
    assert read(200, {"status": "completed", "delivered": 0}) == Completed(delivered=0)
    assert read(200, {"status": "completed", "delivered": 101}) == Contradiction(
        code="executor-delivered-more-than-ordered"
    )
    assert read(200, {"status": "failed", "reason": "no"}) == Failed(code="executor-failed", reason="no")
    assert read(202, {"status": "executing"}) == Executing()
    assert read(202, {"status": "completed", "delivered": 1}) == Unknown(code="executor-answer-nonsense")
    assert read(409, {"reason": "twice"}) == Failed(code="executor-refused", reason="twice")
    assert read(422, "what?") == Failed(code="executor-refused", reason=None)
    assert read(503, {}) == Unknown(code="executor-status-503")


def test_each_answer_to_an_enquiry_is_read_as_the_protocol_says(stub: ExecutorStub) -> None:
    def read(status: int, document: object) -> object:
        return answering(stub, Reply(status=status, document=document)).enquire(ORDER, 1.0)

    assert read(404, {}) == NotKnown()
    assert read(200, {"status": "executing"}) == Executing()
    assert read(200, {"status": "cancelled", "delivered": 0}) == Cancelled(delivered=0)
    assert read(409, {}) == Unknown(code="executor-status-409")
    assert stub.calls[0].path == "/orders/ord_1"


def test_each_answer_to_a_cancellation_is_read_as_the_protocol_says(stub: ExecutorStub) -> None:
    def read(status: int, document: object) -> object:
        return answering(stub, Reply(status=status, document=document)).cancel(ORDER, 1.0)

    assert read(200, {"status": "cancelled", "delivered": 40}) == Cancelled(delivered=40)
    assert read(200, {"status": "cancelled", "delivered": 101}) == Contradiction(
        code="executor-delivered-more-than-ordered"
    )
    assert read(200, {"status": "completed", "delivered": 100}) == Unknown(code="executor-answer-nonsense")
    assert read(409, {}) == CancellationRefused()
    assert read(404, {}) == NotKnown()
    assert read(500, {}) == Unknown(code="executor-status-500")
    assert stub.calls[0].path == "/orders/ord_1/cancellation"


def test_a_call_ends_at_its_deadline_however_slowly_the_answer_trickles(stub: ExecutorStub) -> None:
    slow = answering(stub, Reply(document={"status": "completed", "delivered": 100}, trickle_s=0.2))
    began_s = time.monotonic()

    report = slow.execute(ORDER, 0.5)

    assert report == Unknown(code="executor-timeout")
    assert time.monotonic() - began_s < 1.0


def test_trickling_headers_are_cut_off_at_the_deadline_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_drip, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        began_s = time.monotonic()

        report = open_http({"url": url}, timeout_s=0.5, call_s_max=15.0, allow_private=True).execute(ORDER, 1.0)

        assert report == Unknown(code="executor-timeout")
        assert time.monotonic() - began_s < 1.0


def _drip(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(50):
        try:
            connection.sendall(f"x-{number}: 1\r\n".encode())
        except OSError:
            return
        time.sleep(0.1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000 + b": 1\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
    ],
)
def test_a_broken_answer_says_nothing(stub: ExecutorStub, raw: bytes) -> None:
    report = answering(stub, Reply(raw=raw)).execute(ORDER, 1.0)

    assert isinstance(report, Unknown)


def test_an_endless_answer_is_not_read_to_its_end(stub: ExecutorStub) -> None:
    report = answering(stub, Reply(body=b" " * 10_000_000)).execute(ORDER, 1.0)

    assert report == Unknown(code="executor-answer-too-large")


def test_redirects_are_not_followed(stub: ExecutorStub) -> None:
    report = answering(stub, Reply(status=307, document={}, headers={"Location": stub.url})).execute(ORDER, 1.0)

    assert report == Unknown(code="executor-status-307")
    assert len(stub.calls) == 1


def test_an_executor_that_cannot_be_reached_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    report = open_http(
        {"url": f"http://127.0.0.1:{port}/"}, timeout_s=1.0, call_s_max=15.0, allow_private=True
    ).execute(ORDER, 1.0)

    assert report == Unknown(code="executor-unreachable")


def test_every_call_is_signed_when_there_is_a_secret(stub: ExecutorStub) -> None:
    signing = executor(stub, secret=SECRET)

    signing.execute(ORDER, 1.0)
    signing.enquire(ORDER, 1.0)
    signing.cancel(ORDER, 1.0)

    for call in stub.calls:
        Webhook(SECRET).verify(call.body, call.headers, json_parse=False)
    assert [call.headers["webhook-id"] for call in stub.calls] == ["ord_1", "ord_1-enquiry", "ord_1-cancellation"]


def test_without_a_secret_nothing_is_signed(stub: ExecutorStub) -> None:
    executor(stub).execute(ORDER, 1.0)

    assert not any(name.startswith("webhook") for name in stub.calls[0].headers)


def test_repeats_are_identical_in_key_and_body(stub: ExecutorStub) -> None:
    repeating = executor(stub)
    order = replace(ORDER, params={"b": [1.5, None], "a": "短信"})

    repeating.execute(order, 1.0)
    repeating.execute(replace(order, params={"a": "短信", "b": [1.5, None]}), 1.0)

    first, second = stub.calls
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "ord_1"


def test_a_call_takes_at_most_what_the_product_allows(stub: ExecutorStub) -> None:
    stub.behaviour = lambda stub, call: Reply(document={}, delay_s=2.0)
    began_s = time.monotonic()

    report = executor(stub, timeout_s=0.3).execute(ORDER, 10.0)

    assert report == Unknown(code="executor-timeout")
    assert time.monotonic() - began_s < 1.0


# -- Retry-After ------------------------------------------------------------------------------------------------------


def test_retry_after_is_read_as_seconds_or_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)

    assert retry_after_s({"Retry-After": "7"}) == 7.0
    assert retry_after_s({"Retry-After": in_a_minute}) == pytest.approx(60, abs=2)
    assert retry_after_s({"Retry-After": past}) == 0.0


@pytest.mark.parametrize(
    "value",
    [
        "", "soon", "-1", "1e9", "１２", "nan", "12345678901", "Mon, 99 Foo 2026 00:00:00 GMT",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
    ],
)  # fmt: skip
def test_a_senseless_retry_after_is_ignored(value: str) -> None:
    assert retry_after_s({"Retry-After": value}) is None


# -- addresses --------------------------------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "::127.0.0.1",
    "::ffff:0:127.0.0.1", "::8.8.8.8", "4000::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        addresses_of(address, 80, allow_private=False, timeout_s=1.0)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_allowed(address: str) -> None:
    found = addresses_of(address, 80, allow_private=False, timeout_s=1.0)

    assert [ip_address(each) for each in found] == [ip_address(address)]


def test_a_name_that_means_a_private_address_is_refused_before_anything_is_sent(stub: ExecutorStub) -> None:
    careful = replace(executor(stub), url=f"http://localhost:{stub.port}/orders", allow_private=False)

    with pytest.raises(UnusableExecutor):
        careful.execute(ORDER, 1.0)

    assert stub.calls == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1"])
def test_other_spellings_of_loopback_are_refused(host: str) -> None:
    with pytest.raises((AddressRefused, Unresolved)):
        addresses_of(host, 80, allow_private=False, timeout_s=2.0)


def test_a_name_is_resolved_once_and_the_checked_address_is_called(
    stub: ExecutorStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", _only_for("executor.test", resolve, socket.getaddrinfo))
    named = replace(executor(stub), url=f"http://executor.test:{stub.port}/orders")

    assert named.execute(ORDER, 1.0) == Completed(delivered=100)
    assert asked == ["executor.test"]
    assert stub.calls[0].headers["host"] == f"executor.test:{stub.port}"


def _only_for(name: str, ours: object, real: object) -> object:
    def choose(host: object, *rest: object, **more: object) -> object:
        function = ours if host == name else real
        return function(host, *rest, **more)  # type: ignore[operator]

    return choose


def test_a_name_without_an_address_says_nothing() -> None:
    report = open_http(
        {"url": "http://no-such-host.invalid/"}, timeout_s=2.0, call_s_max=15.0, allow_private=True
    ).execute(ORDER, 2.0)

    assert report == Unknown(code="executor-name-not-resolved")


def test_a_host_with_several_addresses_is_called_at_one_that_answers(stub: ExecutorStub) -> None:
    # Most systems resolve localhost to ::1 as well, where the executor does not listen.
    report = replace(executor(stub), url=f"http://localhost:{stub.port}/orders").execute(ORDER, 1.0)

    assert report == Completed(delivered=100)


def test_tls_needs_a_certificate_that_is_trusted(stub: ExecutorStub) -> None:
    report = replace(executor(stub), url=f"https://127.0.0.1:{stub.port}/orders").execute(ORDER, 1.0)

    assert isinstance(report, Unknown)
    assert report.code in {"executor-tls-failed", "executor-unreachable", "executor-answer-broken"}


# -- kept connections -------------------------------------------------------------------------------------------------

COMPLETED = b'{"status": "completed", "delivered": 100}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(COMPLETED), COMPLETED)


class Line:
    """A server that answers what comes on each connection with the next of its answers, and may hang up after it."""

    def __init__(self, *answers: bytes, hangs_up: bool = False) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/orders"
        self.connections = 0
        self._answers = iter(answers)
        self._hangs_up = hangs_up
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def executor(self) -> HttpExecutor:
        return open_http({"url": self.url}, timeout_s=1.0, call_s_max=15.0, allow_private=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        while connection.recv(65_536):
            connection.sendall(next(self._answers))
            if self._hangs_up:
                connection.close()
                return


def test_calls_after_each_other_share_a_connection() -> None:
    with Line(WHOLE, WHOLE, WHOLE) as line:
        calling = line.executor()

        reports = [calling.execute(ORDER, 1.0), calling.enquire(ORDER, 1.0), calling.execute(ORDER, 1.0)]

        assert reports == [Completed(delivered=100)] * 3
        assert line.connections == 1


def test_a_connection_that_the_executor_closed_is_not_used_again() -> None:
    with Line(WHOLE, WHOLE, hangs_up=True) as line:
        calling = line.executor()

        first = calling.execute(ORDER, 1.0)
        time.sleep(0.1)

        assert (first, calling.execute(ORDER, 1.0)) == (Completed(delivered=100), Completed(delivered=100))
        assert line.connections == 2


@pytest.mark.parametrize(
    ("first", "report"),
    [
        (WHOLE + WHOLE.replace(b"100}", b"1}"), Completed(delivered=100)),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + WHOLE, Unknown(code="executor-status-103")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", Unknown(code="executor-answer-nonsense")),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
            Unknown(code="executor-answer-nonsense"),
        ),
    ],
)
def test_what_comes_after_an_answer_is_never_taken_for_the_next_calls(first: bytes, report: object) -> None:
    with Line(first, WHOLE) as line:
        calling = line.executor()

        assert calling.execute(ORDER, 1.0) == report
        assert calling.execute(ORDER, 1.0) == Completed(delivered=100)
        assert line.connections == 2


def test_an_answer_that_was_not_waited_for_is_not_taken_for_the_next_calls(stub: ExecutorStub) -> None:
    stub.behaviour = lambda stub, call: Reply(document={"status": "completed", "delivered": 1}, delay_s=0.4)
    calling = executor(stub)
    assert calling.execute(ORDER, 0.2) == Unknown(code="executor-timeout")
    time.sleep(0.4)

    stub.behaviour = lambda stub, call: None

    assert calling.execute(ORDER, 1.0) == Completed(delivered=100)


def test_what_comes_while_a_connection_is_idle_ends_its_use() -> None:
    with Line(WHOLE, WHOLE) as line:
        calling = line.executor()
        calling.execute(ORDER, 1.0)
        (_, kept) = calling.connections._idle[0]
        assert kept.is_silent()
        kept._socket.shutdown(socket.SHUT_RD)

        assert calling.execute(ORDER, 1.0) == Completed(delivered=100)
        assert line.connections == 2


def test_an_executor_at_rest_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S_MAX", 0.1)
    with Line(WHOLE) as line:
        calling = line.executor()
        calling.execute(ORDER, 1.0)
        assert len(calling.connections._idle) == 1

        time.sleep(0.5)

        assert len(calling.connections._idle) == 0


@pytest.mark.parametrize("text", ["a\r\nX: 1", "a b", "ä"])
def test_a_path_that_could_be_taken_for_more_is_not_sent(stub: ExecutorStub, text: str) -> None:
    report = replace(executor(stub), url=f"{stub.url}/{text}").execute(ORDER, 1.0)

    assert isinstance(report, Unknown)
    assert stub.calls == []
