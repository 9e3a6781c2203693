"""More requests than can be answered: the first have their turn, some wait for it, the rest are refused at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client

from api.admission import Admission, Turns
from api.settings import ApiSettings
from till import Till


class Desk:
    """An application whose answers take until they are let go; the path ``/stream`` is answered in pieces."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, environment: Any, start: Any) -> Any:
        self.entered.release()
        start("200 OK", [("Content-Type", "text/plain")])
        if environment["PATH_INFO"] == "/stream":
            return iter([b"a", b"b"])
        if environment["PATH_INFO"] == "/broken":
            raise RuntimeError("broken")
        if environment["PATH_INFO"] not in ("/healthz", "/quick"):
            assert self.go.wait(20)
        return [b"done"]


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.go.set()


def admission(desk: Desk, till: Till, *, at_once: int = 1, waiting_max: int = 0, wait_s: float = 5.0) -> Admission:
    settings = ApiSettings(api_threads=at_once, api_queue_max=waiting_max, api_queue_wait_s=wait_s)
    return Admission(desk, lambda: till.front.services, settings)


def test_a_request_too_many_is_refused_at_once_as_a_problem_without_effect(sqlite_till: Till, desk: Desk) -> None:
    client = Client(admission(desk, sqlite_till))
    busy = threading.Thread(target=client.get, args=("/v1/orders",))
    busy.start()
    assert desk.entered.acquire(timeout=5)

    began = time.monotonic()
    refused = client.post("/v1/orders", headers={"X-Request-Id": "req_given"})

    assert time.monotonic() - began < 0.5
    assert refused.status_code == 503 and refused.mimetype == "application/problem+json"
    assert (refused.json["code"], refused.json["retryable"]) == ("unavailable", True)
    assert "nothing was recorded" in refused.json["detail"]
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["X-Request-Id"] == refused.json["request_id"] == "req_given"
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert not desk.entered.acquire(blocking=False)
    counted = sqlite_till.front.services.metrics.exposition(sqlite_till.front.services).decode()
    assert 'orderledger_requests_total{route="refused",status="503"} 1.0' in counted
    desk.go.set()
    busy.join()
    assert client.get("/quick").status_code == 200


def test_what_shows_the_overload_is_answered_in_it(sqlite_till: Till, desk: Desk) -> None:
    client = Client(admission(desk, sqlite_till))
    busy = threading.Thread(target=client.get, args=("/v1/orders",))
    busy.start()
    assert desk.entered.acquire(timeout=5)

    assert client.get("/healthz").status_code == 200
    desk.go.set()
    busy.join()


def test_who_waits_has_the_next_turn_and_is_refused_when_none_comes_in_time(sqlite_till: Till, desk: Desk) -> None:
    client = Client(admission(desk, sqlite_till, waiting_max=1, wait_s=0.3))
    busy = threading.Thread(target=client.get, args=("/v1/orders",))
    busy.start()
    assert desk.entered.acquire(timeout=5)

    began = time.monotonic()
    assert client.get("/v1/orders").status_code == 503
    assert 0.25 < time.monotonic() - began < 2

    answers: list[int] = []
    waits = threading.Thread(target=lambda: answers.append(client.get("/quick").status_code))
    waits.start()
    desk.go.set()
    waits.join()
    busy.join()
    assert answers == [200]


def test_an_answer_in_pieces_has_its_turn_until_the_last_piece_or_until_the_client_has_gone(
    sqlite_till: Till, desk: Desk
) -> None:
    application = admission(desk, sqlite_till)
    client = Client(application)

    def begin() -> Any:
        return application({"PATH_INFO": "/stream", "REQUEST_METHOD": "GET"}, lambda *_: None)

    stream = begin()
    assert client.get("/quick").status_code == 503
    assert list(stream) == [b"a", b"b"]
    stream.close()
    stream.close()
    assert client.get("/quick").status_code == 200

    gone = begin()
    gone.close()
    assert client.get("/quick").status_code == 200


def test_a_request_that_breaks_gives_its_turn_back(sqlite_till: Till, desk: Desk) -> None:
    client = Client(admission(desk, sqlite_till))

    for _ in range(3):
        with pytest.raises(RuntimeError):
            client.get("/broken")

    assert client.get("/quick").status_code == 200


def test_turns_are_had_in_the_order_of_arrival() -> None:
    turns = Turns(at_once=1, waiting_max=10, wait_s=20)
    assert turns.take()
    order: list[int] = []

    def wait(number: int) -> None:
        assert turns.take()
        order.append(number)
        turns.give_back()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while turns.waiting < number + 1:
            time.sleep(0.001)
    turns.give_back()
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4]


def test_no_turn_is_lost_or_made_however_waits_and_turns_race() -> None:
    turns = Turns(at_once=3, waiting_max=6, wait_s=0.0005)
    at_work, most, lock = [0], [0], threading.Lock()

    def ask() -> None:
        for _ in range(400):
            if turns.take():
                with lock:
                    at_work[0] += 1
                    most[0] = max(most[0], at_work[0])
                time.sleep(0.0005)
                with lock:
                    at_work[0] -= 1
                turns.give_back()

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most[0] == 3
    assert [turns.take() for _ in range(4)] == [True, True, True, False]
