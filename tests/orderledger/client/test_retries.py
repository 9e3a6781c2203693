"""What the client does when the service or the way to it fails: one effect, one answer, in time."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from client_place import Place
from orderledger.client import (
    Client,
    NotFreshEnough,
    OutcomeUnknown,
    Recharge,
    Refused,
    TooManyRequests,
    Unavailable,
)
from proxy import proxied

Script = Sequence[tuple[int, dict[str, str], object]]
POSTED = {"position": 7, "type": "recharge.posted"}
BALANCE = {"available": "1", "held": "0", "total": "1", "currency": "CNY", "version": 1, "position": 7}
STREAM = {"Content-Type": "text/event-stream"}
PIECE_S = 0.4
"""Between the pieces of a stream."""


class Balancer:
    """What stands between client and service, such as a proxy, answering by a script; its last answer for ever.

    A body that is a list is a stream of pieces.
    """

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, str, dict[str, str], float]] = []

    @property
    def keys(self) -> set[str]:
        return {headers["Idempotency-Key"] for _, _, headers, _ in self.asked}


@contextmanager
def balancer(script: Script) -> Iterator[Balancer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.asked.append((self.command, self.path, dict(self.headers), time.monotonic()))
            status, headers, body = script[min(len(made.asked), len(script)) - 1]
            if isinstance(body, list):
                self.stream(status, headers, body)
                return
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def stream(self, status: int, headers: dict[str, str], pieces: list[bytes]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                time.sleep(PIECE_S)
            self.close_connection = True

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Balancer(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def event_at(position: int) -> bytes:
    """An event as a stream has it."""
    document = {"position": position, "recorded_at": "2026-11-28T10:00:00+00:00", "postings": []}
    return b"data: %b\n\n" % json.dumps(document).encode()


def nobody() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_what_passes_is_repeated_with_the_same_key(status: int) -> None:
    with (
        balancer([(status, {}, b"<html>"), (status, {}, b""), (201, {}, POSTED)]) as between,
        Client(between.address, api_key="k") as ledger,
    ):
        posted = ledger.recharge("cus_1", "1")

    assert posted.position == 7
    assert len(between.asked) == 3
    assert between.keys == {posted.key}


def test_retry_after_is_waited_for(place: Place) -> None:
    with (
        balancer([(503, {"Retry-After": "1"}, b""), (201, {}, POSTED)]) as between,
        Client(between.address, api_key="k") as ledger,
    ):
        ledger.recharge("cus_1", "1")

    assert between.asked[1][3] - between.asked[0][3] >= 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, {"code": "unavailable", "detail": "x"}, Unavailable),
        (503, {"code": "outcome-unknown", "detail": "x"}, OutcomeUnknown),
        (502, b"<html>", OutcomeUnknown),
        (429, {"code": "too-many-tries"}, TooManyRequests),
    ],
)
def test_when_the_time_is_up_a_command_ends_in_what_is_known(status: int, body: object, error: type[Exception]) -> None:
    with balancer([(status, {}, body)]) as between, Client(between.address, api_key="k", timeout_s=1) as ledger:
        started_s = time.monotonic()

        with pytest.raises(error) as caught:
            ledger.recharge("cus_1", "1", key="mine")

    assert type(caught.value) is error
    assert caught.value.key == "mine"  # type: ignore[attr-defined]
    assert time.monotonic() - started_s < 1.5
    assert 2 <= len(between.asked) < 30


def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once() -> None:
    script: Script = [(429, {"Retry-After": "3600"}, b"")]
    with (
        balancer(script) as between,
        Client(between.address, api_key="k") as ledger,
        pytest.raises(TooManyRequests) as caught,
    ):
        ledger.recharge("cus_1", "1")

    assert caught.value.retry_after_s == 3600
    assert len(between.asked) == 1


def test_an_earlier_doubt_is_not_forgotten_over_a_later_no() -> None:
    nothing = {"code": "unavailable", "detail": "x"}
    with (
        balancer([(504, {}, b""), (503, {}, nothing)]) as between,
        Client(between.address, api_key="k", timeout_s=1) as ledger,
        pytest.raises(OutcomeUnknown),
    ):
        ledger.recharge("cus_1", "1")


def test_what_has_no_key_is_not_repeated_after_a_doubt() -> None:
    nothing = {"code": "unavailable", "detail": "x"}
    script: Script = [(503, {}, nothing), (502, {}, b"")]
    with balancer(script) as between, Client(between.address, api_key="k") as ledger, pytest.raises(OutcomeUnknown):
        ledger.customers.create(name="x")

    assert len(between.asked) == 2


def test_a_position_that_was_seen_is_asked_for_in_reads_unless_switched_off() -> None:
    script: Script = [(201, {"Ledger-Position": "7"}, POSTED), (200, {}, BALANCE)]
    for switch, asked in ((True, "7"), (False, None)):
        with balancer(script) as between, Client(between.address, api_key="k", reads_own_writes=switch) as ledger:
            ledger.recharge("cus_1", "1")
            ledger.balance("cus_1")
        assert between.asked[1][2].get("Ledger-Min-Position") == asked


def test_a_read_that_is_never_fresh_enough_ends_in_time(place: Place) -> None:
    with place.client(timeout_s=4) as ledger:
        ledger.recharge(place.customer_id, "1")
        ledger._sender._position = 10**9

        with pytest.raises(NotFreshEnough):
            next(ledger.orders())


def test_an_address_that_refuses_costs_nothing(place: Place) -> None:
    with place.client(nobody(), place.service.address, nobody()) as ledger:
        for _ in range(5):
            ledger._sender._first = 2
            started_s = time.monotonic()
            ledger.recharge(place.customer_id, "0.01")
            assert time.monotonic() - started_s < 2


def test_nobody_there_is_unavailable_and_surely_without_effect() -> None:
    with Client(nobody(), api_key="k", timeout_s=0.5) as ledger, pytest.raises(Unavailable):
        ledger.recharge("cus_1", "1")


def test_a_lost_answer_is_asked_for_again_and_takes_effect_once(place: Place) -> None:
    lost = Counter[str]()

    def first_of_each(chunk: bytes) -> bool:
        lost["commands"] += b"/recharges" in chunk
        return b"/recharges" in chunk and lost["commands"] % 2 == 1

    with proxied(("127.0.0.1", place.service.port)) as way, place.client(f"http://127.0.0.1:{way.port}") as ledger:
        before = ledger.balance(place.customer_id).total
        way.lose_answer_when = first_of_each
        posted = [ledger.recharge(place.customer_id, "0.01") for _ in range(10)]

        assert way.lost_answers >= 10
        assert all(each.replayed for each in posted)
        assert ledger.balance(place.customer_id).total - before == sum(each.amount or 0 for each in posted)


def test_a_stream_whose_connection_is_cut_has_each_effect_once(place: Place) -> None:
    with proxied(("127.0.0.1", place.service.port)) as way, place.client(f"http://127.0.0.1:{way.port}") as ledger:
        before = ledger.balance(place.customer_id).total
        stop = threading.Event()

        def cut() -> None:
            pause_s = 0.2
            while not stop.wait(pause_s):
                way.cut()
                # Whatever the machine's speed, a slice gets through in the end.
                pause_s *= 1.3

        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            commands = (Recharge(customer_id=place.customer_id, amount="0.01") for _ in range(3_000))
            results = list(ledger.stream(commands))
        finally:
            stop.set()
            cutter.join()

        assert [each.error for each in results] == [None] * 3_000
        after = ledger.balance(place.customer_id).total
        assert after - before == 30


def test_a_stream_does_not_go_on_behind_what_is_not_definite() -> None:
    refused = {"status": 503, "idempotency_key": "k", "problem": {"code": "unavailable", "detail": "later"}}
    lines = json.dumps(refused).encode() + b"\n"
    commands = (Recharge(customer_id="cus_1", amount="1") for _ in range(2_500))

    with (
        balancer([(200, {"Content-Type": "application/x-ndjson"}, lines * 1_000)]) as front,
        Client(front.address, api_key="olk_x", timeout_s=0.5) as ledger,
    ):
        results = ledger.stream(commands)
        yielded = [next(results) for _ in range(1_000)]
        with pytest.raises(Unavailable):
            next(results)

    assert {type(each.error) for each in yielded} == {Unavailable}
    assert len(front.keys) == 1


def test_a_frozen_address_does_not_keep_a_client_from_the_other(place: Place) -> None:
    with proxied(("127.0.0.1", place.service.port)) as frozen:
        frozen.frozen.set()
        with place.client(f"http://127.0.0.1:{frozen.port}", place.service.address, timeout_s=4) as ledger:
            ledger._sender._first = 0

            posted = ledger.recharge(place.customer_id, "0.01")

            assert posted.position
        frozen.frozen.clear()


def test_a_connection_is_used_again_and_nothing_repeated_without_a_fault(place: Place) -> None:
    heads: list[bytes] = []
    with proxied(("127.0.0.1", place.service.port)) as way, place.client(f"http://127.0.0.1:{way.port}") as ledger:
        way.lose_answer_when = lambda chunk: bool(heads.append(chunk)) if b"HTTP/1.1" in chunk else False
        posted = [ledger.recharge(place.customer_id, "0.01") for _ in range(20)]
        assert ledger.balance(place.customer_id).position >= posted[-1].position

        assert not any(each.replayed for each in posted)
        assert len(heads) == 21
        assert way.accepted == 1


def test_one_client_serves_many_threads(place: Place) -> None:
    answered: list[int] = []
    with place.client() as ledger:

        def work() -> None:
            for _ in range(20):
                answered.append(ledger.recharge(place.customer_id, "0.01").position)
                ledger.balance(place.customer_id)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    assert len(set(answered)) == 320


def test_a_follower_comes_again_no_sooner_than_the_stream_says() -> None:
    stream = {"Content-Type": "text/event-stream"}
    script = [
        (200, stream, b": draining\nretry: 700\n\n"),
        (200, stream, b""),
        (409, {}, {"code": "enough", "detail": "x"}),
    ]
    with (
        balancer(script) as between,
        Client(between.address, api_key="k") as ledger,
        pytest.raises(Refused),
    ):
        next(ledger.follow(after=8))

    came = [at_s for *_, at_s in between.asked]
    assert len(came) == 3
    assert came[1] - came[0] >= 0.7
    assert came[2] - came[1] >= 0.1


def test_a_follower_counts_failures_from_the_end_of_a_stream_however_quiet_that_was() -> None:
    quiet = [b": still here\n\n"] * 4
    script: Script = [(200, STREAM, quiet), (503, {}, b""), (200, STREAM, [event_at(50)])]
    assert len(quiet) * PIECE_S > 1

    with balancer(script) as between, Client(between.address, api_key="k") as ledger:
        assert next(ledger.follow(give_up_s=1)).position == 50


def test_a_follower_gives_up_when_no_stream_could_be_opened_for_so_long() -> None:
    started_s = time.monotonic()

    with Client(nobody(), api_key="k") as ledger, pytest.raises(Unavailable, match="no event stream"):
        next(ledger.follow(give_up_s=0.5))

    assert 0.5 <= time.monotonic() - started_s < 5


def test_reads_behind_an_event_that_was_followed_reflect_it() -> None:
    script: Script = [(200, STREAM, [event_at(50)]), (200, {}, BALANCE)]
    with balancer(script) as between, Client(between.address, api_key="k") as ledger:
        assert next(ledger.follow()).position == 50
        ledger.balance("cus_1")

    assert between.asked[1][2]["Ledger-Min-Position"] == "50"


def test_an_outcome_is_asked_for_without_a_position_that_it_must_reflect() -> None:
    outcome = {"status": "accepted", "result": POSTED}
    script: Script = [(201, {"Ledger-Position": "9"}, POSTED), (200, {"Ledger-Position": "7"}, outcome)]
    with balancer(script) as between, Client(between.address, api_key="k") as ledger:
        ledger.recharge("cus_1", "1")
        found = ledger.outcome("of before")

    assert found is not None and found.position == 7
    assert "Ledger-Min-Position" not in between.asked[1][2]


@pytest.mark.parametrize("key", ["INV №7", "Größe", "two\nlines", "x" * 256, "", " ", "INV-1 ", " INV-1"])
def test_a_key_that_the_api_would_not_take_is_refused_before_anything_is_sent(key: str) -> None:
    with balancer([(201, {}, POSTED)]) as between, Client(between.address, api_key="k") as ledger:
        for post in (
            lambda: ledger.recharge("cus_1", "1", key=key),
            lambda: ledger.deduct("cus_1", "1", key=key),
            lambda: ledger.place_order("hello", 1, key=key),
            lambda: ledger.cancel("ord_1", key=key),
            lambda: ledger.reverse(7, "why", key=key),
            lambda: ledger.batch([Recharge(customer_id="cus_1", amount="1", key=key)]),
        ):
            with pytest.raises(ValueError, match="printable ASCII"):
                post()

    assert between.asked == []


def test_a_connection_is_used_again_also_with_a_thousand_files_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_048), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1_100)]
    try:
        with (
            balancer([(200, {}, {"data": [], "next": None})]) as between,
            Client(between.address, api_key="k") as ledger,
        ):
            for _ in range(2):
                assert list(ledger.events()) == []
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_refusal_is_not_repeated() -> None:
    with (
        balancer([(409, {}, {"code": "insufficient-funds", "detail": "x"})]) as between,
        Client(between.address, api_key="k") as ledger,
        pytest.raises(Refused),
    ):
        ledger.deduct("cus_1", "1")

    assert len(between.asked) == 1
