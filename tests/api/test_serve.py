"""The API under its real server: chunked bodies, a stop in the middle of work, a server that is killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.database import open_engine
from ledger.directory.access import create_api_keys
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings

ROOT = Path(__file__).parents[2]
START_S_MAX = 30.0
STREAMS_MAX = 16
"""Batches that are streamed to one process at once, by default."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server and an administrator's secret."""

    process: subprocess.Popen[str]
    port: int
    secret: str

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = self.connect()
        sent = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = json.dumps(body) if body is not None and not hasattr(body, "__next__") else body
        # A server that refuses a body answers, and may close, before all of it was sent.
        with contextlib.suppress(BrokenPipeError):
            connection.request(method, path, content, sent, encode_chunked=hasattr(body, "__next__"))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if "ndjson" not in answer.getheader("Content-Type", "ndjson") else text

    def customer(self) -> str:
        made: str = self.ask("POST", "/v1/customers", {"name": "A"})[1]["id"]
        return made


@pytest.fixture
def served(request: pytest.FixtureRequest, sqlite_ledger_url: str, redis_url: str) -> Iterator[Served]:
    """A server; its parameter is how many seconds of notice it gives of a stop."""
    engine = open_engine(sqlite_ledger_url, LedgerSettings())
    ((_, secret),) = create_api_keys(Directory(engine), [{"name": "root", "role": "admin"}])
    engine.dispose()
    environment = os.environ | {
        "ORDERLEDGER_DATABASE_URL": sqlite_ledger_url,
        "ORDERLEDGER_REDIS_URL": redis_url,
        "ORDERLEDGER_DRAIN_S": "5",
        "ORDERLEDGER_DRAIN_NOTICE_S": getattr(request, "param", "1.5"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "orderledger", "api", "--port", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    made = Served(process, int(process.stdout.readline().rsplit(":", 1)[1]), secret)
    _wait_until(lambda: _listens(made.port))
    yield made
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)
    process.stdout.close()


def test_a_chunked_stream_of_commands_is_answered(served: Served) -> None:
    customer_id = served.customer()
    lines = (
        json.dumps({"type": "recharge", "idempotency_key": f"k{n}", "customer_id": customer_id, "amount": "0.01"})
        for n in range(3_000)
    )

    status, text = served.ask(
        "POST", "/v1/batches", (f"{line}\n".encode() for line in lines), Content_Type="application/x-ndjson"
    )

    assert status == 200
    assert [json.loads(line)["status"] for line in text.splitlines()] == [201] * 3_000


def test_a_chunked_body_that_is_too_large_is_refused(served: Served) -> None:
    customer_id = served.customer()
    # Just above the limit, so that nearly all is sent when the answer comes.
    pieces = (b" " * 65_536 for _ in range(17))

    status, problem = served.ask("POST", f"/v1/customers/{customer_id}/recharges", pieces, Idempotency_Key="k")

    assert (status, problem["code"]) == (413, "too-large")


def test_a_stop_finishes_what_was_begun_and_loses_nothing(served: Served) -> None:
    customer_id = served.customer()
    accepted: list[int] = []
    refused: list[int] = []

    def work(number: int) -> None:
        for count in range(10_000):
            try:
                status, body = served.ask(
                    "POST",
                    f"/v1/customers/{customer_id}/recharges",
                    {"amount": "0.01"},
                    Idempotency_Key=f"{number}-{count}",
                )
            except (OSError, http.client.HTTPException):
                return
            accepted.append(body["position"]) if status == 201 else refused.append(status)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    time.sleep(1)

    served.process.terminate()
    code = served.process.wait(timeout=20)
    for each in threads:
        each.join()

    assert code == 0
    assert accepted
    assert refused == []
    assert len(set(accepted)) == len(accepted)


@pytest.mark.parametrize("served", ["6"], indirect=True)
def test_a_server_that_is_told_to_stop_says_so_and_serves_until_nobody_relies_on_it(served: Served) -> None:
    customer_id = served.customer()
    kept = served.connect()
    sent = {"Authorization": f"Bearer {served.secret}"}
    kept.request("GET", f"/v1/customers/{customer_id}/balance", headers=sent)
    assert kept.getresponse().read()
    stream = served.connect()
    stream.request("GET", "/v1/events", headers=sent | {"Accept": "text/event-stream", "Last-Event-ID": "1"})
    streamed = stream.getresponse()
    assert streamed.readline() == b"retry: 1000\n"

    served.process.terminate()
    _wait_until(lambda: served.ask("GET", "/readyz")[1]["status"] == "draining")

    kept.request("GET", f"/v1/customers/{customer_id}/balance", headers=sent)
    answer = kept.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (200, "close")
    answer.read()
    assert kept.sock is None
    status, body = served.ask(
        "POST", f"/v1/customers/{customer_id}/recharges", {"amount": "1.00"}, Idempotency_Key="while draining"
    )
    assert (status, body["type"]) == (201, "recharge.posted")
    assert b": draining\nretry: " in streamed.read()
    assert served.process.wait(timeout=20) == 0


def test_a_stream_of_commands_ends_in_order_before_a_stop_runs_out_of_patience(served: Served) -> None:
    customer_id = served.customer()
    begun = threading.Event()

    def lines() -> Iterator[bytes]:
        for number in range(10**6):
            if ended.is_set():
                return
            for part in range(500):
                key = f"k{number}-{part}"
                command = {"type": "recharge", "idempotency_key": key, "customer_id": customer_id, "amount": "0.01"}
                yield f"{json.dumps(command)}\n".encode()
            begun.set()
            time.sleep(0.1)

    ended = threading.Event()
    answers: list[tuple[int, Any]] = []

    def send() -> None:
        answers.append(served.ask("POST", "/v1/batches", lines(), Content_Type="application/x-ndjson"))

    sender = threading.Thread(target=send)
    sender.start()
    begun.wait()
    time.sleep(1)

    served.process.terminate()
    # Beyond half of the time that requests in flight get, 1.5 + 2.5 seconds; not to the end of it.
    time.sleep(5)
    ended.set()
    code = served.process.wait(timeout=20)
    sender.join()

    ((status, text),) = answers
    results = [json.loads(line) for line in text.splitlines()]
    statuses = [each["status"] for each in results]
    cut_at = statuses.index(503)
    assert (code, status) == (0, 200)
    assert set(statuses[:cut_at]) == {201}
    assert {each["problem"]["code"] for each in results[cut_at:]} == {"unavailable"}


def test_streams_of_commands_that_never_end_leave_turns_for_others(served: Served) -> None:
    command = {"type": "recharge", "idempotency_key": "k", "customer_id": served.customer(), "amount": "0.01"}
    sent = {"Authorization": f"Bearer {served.secret}", "Content-Type": "application/x-ndjson"}
    held = [served.connect() for _ in range(STREAMS_MAX + 1)]
    for each in held:
        each.request("POST", "/v1/batches", headers=sent | {"Transfer-Encoding": "chunked"})
        each.send(b"1\r\n\n\r\n")

    ((answered,), _, _) = select.select([each.sock for each in held], [], [], START_S_MAX)
    (refused,) = [each for each in held if each.sock is answered]
    answer = refused.getresponse()
    problem = json.loads(answer.read())
    whole, _ = served.ask("POST", "/v1/batches", {"atomic": False, "commands": [command]})
    me, _ = served.ask("GET", "/v1/me")

    assert (answer.status, problem["code"], problem["retryable"]) == (503, "unavailable", True)
    assert (whole, me) == (200, 200)
    held.remove(refused)
    for each in held:
        each.send(b"0\r\n\r\n")
        assert each.getresponse().status == 200
    line = json.dumps(command).encode()
    assert served.ask("POST", "/v1/batches", iter([line]), Content_Type="application/x-ndjson")[0] == 200
    for each in (refused, *held):
        each.close()


def test_a_killed_server_takes_its_workers_along(served: Served) -> None:
    assert served.ask("GET", "/healthz")[0] == 200

    served.process.kill()
    served.process.wait()

    _wait_until(lambda: not _listens(served.port))


def test_a_half_sent_head_does_not_keep_others_out(served: Served) -> None:
    sockets = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
    for each in sockets:
        each.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nX: ")

    status, _ = served.ask("GET", "/healthz")

    assert status == 200
    for each in sockets:
        each.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_until(is_so: Any) -> None:
    ends_at_s = time.monotonic() + START_S_MAX
    while not is_so():
        assert time.monotonic() < ends_at_s, "it did not come to that in time"
        time.sleep(0.05)
