"""Maintenance seals new events in time, and checkpoints get out of the house."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
import structlog

from ledger.append import Ledger
from ledger.database import open_engine
from ledger.errors import BadSetting
from ledger.proofs.notes import SigningKey
from ledger.proofs.sealing import Sealed, latest, seal
from ledger.proofs.settings import ProofSettings
from ledger.proofs.signer import Signer, SigningRefused, add_key, write_key
from ledger.settings import LedgerSettings
from orderledger.sealing import Publisher, PublishingFailed, Sealer, deliver_to, sealing_parts
from orderledger.surroundings import prepare
from submissions import Desk
from workers.stopping import Stop
from workers.sweeper import orders_part, sweep


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    settings = LedgerSettings()
    engine = open_engine(ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    write_key(tmp_path / "key", SigningKey.make("ledger.test/v1/log"))
    return tmp_path / "key"


def sealer(desk: Desk, key_file: Path, *, interval_s: float = 3_600, events: int = 1_000) -> Sealer:
    settings = ProofSettings(signing_key_file=str(key_file), seal_interval_s=interval_s, seal_events=events)
    return Sealer(desk.engine, settings)


def newest(desk: Desk) -> Sealed | None:
    with desk.engine.connect() as connection:
        return latest(connection)


def sealed_size(desk: Desk) -> int:
    found = newest(desk)
    return 0 if found is None else found.size


def test_new_events_are_sealed_at_once_after_a_start_and_then_when_there_are_enough(desk: Desk, key_file: Path) -> None:
    sealing = sealer(desk, key_file, events=5)
    account_id = desk.open(recharged_minor=100)
    seen = []

    for _ in range(7):
        sealing.look()
        seen.append(sealed_size(desk))
        assert desk.deduct(account_id, 1).error is None

    assert seen == [2, 2, 2, 2, 2, 7, 7]


def test_few_events_are_sealed_when_the_interval_is_over(desk: Desk, key_file: Path) -> None:
    sealing = sealer(desk, key_file, interval_s=0.2)
    account_id = desk.open(recharged_minor=100)
    sealing.look()
    assert desk.deduct(account_id, 1).error is None
    sealing.look()
    before = sealed_size(desk)

    time.sleep(0.25)
    sealing.look()

    assert (before, sealed_size(desk)) == (2, 3)


def test_without_a_key_nothing_is_sealed_and_it_is_said_once(desk: Desk, tmp_path: Path) -> None:
    desk.open(recharged_minor=100)
    sealing = sealer(desk, tmp_path / "nowhere")

    with structlog.testing.capture_logs() as said:
        sealing.look()
        sealing.look()

    assert newest(desk) is None
    assert [each["event"] for each in said] == ["log-not-sealed"]
    assert "audit keygen" in said[0]["mend"]


def test_a_key_that_is_added_signs_without_a_new_start(desk: Desk, key_file: Path) -> None:
    sealing = sealer(desk, key_file, events=1)
    account_id = desk.open()
    sealing.look()
    add_key(key_file)
    assert desk.recharge(account_id, 1).error is None

    sealing.look()

    found = newest(desk)
    assert found is not None and found.note.count("\u2014") == 2


def test_a_log_that_was_shortened_makes_sealing_fail_each_time(desk: Desk, key_file: Path) -> None:
    sealing = sealer(desk, key_file, events=1, interval_s=0.1)
    desk.open(recharged_minor=100)
    sealing.look()
    with desk.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql("UPDATE log_head SET position=1")

    for _ in range(2):
        time.sleep(0.15)
        with pytest.raises(SigningRefused):
            sealing.look()


def test_each_new_checkpoint_is_published_once_and_after_a_failure_again(desk: Desk, key_file: Path) -> None:
    delivered: list[int] = []
    is_broken = [True]

    def deliver(sealed: Sealed) -> None:
        if is_broken[0]:
            raise PublishingFailed
        delivered.append(sealed.size)

    publisher = Publisher(desk.engine, deliver)
    publisher.look()
    account_id = desk.open(recharged_minor=100)
    seal(desk.engine, Signer(key_file))
    with pytest.raises(PublishingFailed):
        publisher.look()
    is_broken[0] = False
    for _ in range(2):
        publisher.look()
    assert desk.deduct(account_id, 1).error is None
    seal(desk.engine, Signer(key_file))
    for _ in range(2):
        publisher.look()

    assert delivered == [2, 3]


def test_targets_that_take_a_connection_and_say_nothing_delay_no_other_part(desk: Desk, key_file: Path) -> None:
    account_id = desk.open(recharged_minor=100_000)
    seal(desk.engine, Signer(key_file))
    assert desk.place(account_id).error is None
    looks_s: list[float] = []
    stop = Stop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        environment = {
            "ORDERLEDGER_PUBLISH_CHECKPOINTS_TO": f"{url},{url}",
            "ORDERLEDGER_SEAL_INTERVAL_S": "0.1",
            "ORDERLEDGER_SIGNING_KEY_FILE": str(key_file),
        }
        orders = orders_part(desk.engine, lambda: looks_s.append(time.monotonic()), 0.2)
        threading.Timer(4.0, stop.set).start()
        sweep([*sealing_parts(environment, desk.engine), orders], stop)

    assert len(looks_s) >= 5
    assert max(later - earlier for earlier, later in pairwise(looks_s)) < 2.0


def test_a_delivery_that_takes_long_is_the_only_one_and_its_failure_is_told(desk: Desk, key_file: Path) -> None:
    may_end, is_broken, tried = threading.Event(), [True], list[int]()

    def deliver(sealed: Sealed) -> None:
        tried.append(sealed.size)
        may_end.wait(60)
        if is_broken[0]:
            raise PublishingFailed

    publisher = Publisher(desk.engine, deliver)
    account_id = desk.open(recharged_minor=100)
    seal(desk.engine, Signer(key_file))
    publisher.look()
    assert desk.deduct(account_id, 1).error is None
    seal(desk.engine, Signer(key_file))
    publisher.look()
    under_way = list(tried)
    may_end.set()
    with pytest.raises(PublishingFailed):
        look_often(publisher)
    time.sleep(0.2)
    is_broken[0] = False
    for _ in range(2):
        publisher.look()

    assert under_way == [2]
    assert (tried[-1], tried.count(2)) == (3, 1)


def test_a_delivery_that_does_not_end_is_told_until_one_got_there(
    desk: Desk, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderledger.sealing.DELIVERY_S_MAX", 1.0)
    stop = threading.Event()

    def trickle(server: socket.socket) -> None:
        # The beginning of an answer's header, one byte at a time: no wait for one is ever too long.
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not stop.wait(0.1):
                connection.sendall(b"x")
            connection.sendall(b"\r\nContent-Length: 0\r\n\r\n")

    desk.open(recharged_minor=100)
    seal(desk.engine, Signer(key_file))
    with socket.create_server(("127.0.0.1", 0)) as server:
        trickling = threading.Thread(target=trickle, args=(server,), daemon=True)
        trickling.start()
        publisher = Publisher(desk.engine, deliver_to(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        publisher.look()
        with pytest.raises(PublishingFailed):
            look_often(publisher)
        with pytest.raises(PublishingFailed):
            publisher.look()
        stop.set()
        trickling.join()
        assert publisher._delivery is not None
        publisher._delivery.join()

        publisher.look()


def look_often(publisher: Publisher) -> None:
    for _ in range(100):
        publisher.look()
        time.sleep(0.05)


SEALED = Sealed(
    size=7, root=bytes(32), note="ledger.test/v1/log\n7\nAAAA\n\n\u2014 ledger.test/v1/log abc=\n", sealed_at_us=1
)


def test_a_directory_has_the_newest_and_every_checkpoint(tmp_path: Path) -> None:
    deliver_to(str(tmp_path / "out"))(SEALED)

    found = {each.name: each.read_text("utf-8") for each in (tmp_path / "out").iterdir()}
    assert found == {"checkpoint": SEALED.note, "checkpoint-7": SEALED.note}


def test_a_command_reads_the_checkpoint_from_its_input(tmp_path: Path) -> None:
    deliver_to(f"!tee {tmp_path / 'out'}")(SEALED)

    assert (tmp_path / "out").read_text("utf-8") == SEALED.note


def test_an_endpoint_gets_the_checkpoint_as_a_post() -> None:
    with endpoint(200) as (url, bodies):
        deliver_to(url)(SEALED)

    assert bodies == [SEALED.note.encode()]


def test_what_does_not_get_there_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with endpoint(500) as (url, _):
        for target in (url, "http://127.0.0.1:1/", "!false", "!no-such-program", f"{tmp_path}/file/below"):
            with pytest.raises(PublishingFailed):
                deliver_to(target)(SEALED)


@pytest.mark.parametrize("target", ["relative", "ftp://x/", "!", "! "])
def test_a_target_that_is_none_is_refused_at_the_start(desk: Desk, target: str) -> None:
    with pytest.raises(BadSetting, match="PUBLISH_CHECKPOINTS_TO"):
        sealing_parts({"ORDERLEDGER_PUBLISH_CHECKPOINTS_TO": target}, desk.engine)


def test_every_target_is_looked_after_by_itself(desk: Desk) -> None:
    parts = sealing_parts({"ORDERLEDGER_PUBLISH_CHECKPOINTS_TO": "/tmp/a, !cat"}, desk.engine)

    assert [part.name for part in parts] == ["sealing", "publishing-1", "publishing-2"]


@contextmanager
def endpoint(status: int) -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("more", "by_up", "is_made"),
    [
        ({}, False, True),
        ({}, True, True),
        ({"ORDERLEDGER_DATABASE_URL": "sqlite:///elsewhere"}, False, False),
        ({"ORDERLEDGER_DATABASE_URL": "sqlite:///elsewhere"}, True, True),
        ({"ORDERLEDGER_SIGNING_KEY_FILE": "/nowhere/key"}, True, False),
    ],
)
def test_a_key_is_made_for_the_embedded_log_and_by_up_and_never_beside_one_that_is_named(
    tmp_path: Path, more: dict[str, str], by_up: bool, is_made: bool
) -> None:
    environment = {"ORDERLEDGER_DATA": str(tmp_path / "data"), **more}

    first = prepare(environment, makes_signing_key=by_up)
    key = tmp_path / "data" / "signing-key"
    content = key.read_text() if key.exists() else None
    second = prepare(environment, makes_signing_key=by_up)

    assert (content is not None) == is_made
    assert first["ORDERLEDGER_SIGNING_KEY_FILE"] == second["ORDERLEDGER_SIGNING_KEY_FILE"]
    assert content is None or key.read_text() == content, "a key is never replaced"
