"""The fast audit says what the slow one says, whoever has changed what; and what it cannot see it does not call clean."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from ledger.append import Ledger
from ledger.audit import leaves, order_books, verification, workers, write_side
from ledger.audit.order_books import _factors
from ledger.audit.range_books import RangeResult
from ledger.audit.verification import verify
from ledger.audit.workers import ScanProcess, scan_processes
from ledger.database import open_engine
from ledger.events import EVENT_CLASSES
from ledger.leaf import leaf_bytes, leaf_hash
from ledger.migrate import upgrade
from ledger.money import currency
from ledger.pricing import partial_capture, price
from ledger.settings import LedgerSettings
from plain_audit import first_bad_position
from processes import are_gone, children_of
from proxy import proxied
from root import Root, live
from servers import PrivateMariaDB
from submissions import Desk

TAMPERINGS = 60
_TEXTS = st.text(max_size=60).map(str.encode)
_NUMBERS = st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number)


@given(st.data())
def test_a_leaf_hash_is_that_of_the_ledgers_own_frame(data: Any) -> None:
    draw = data.draw
    number, text, raw = _NUMBERS, _TEXTS, st.binary(max_size=64)
    maybe = st.none() | st.text(min_size=1, max_size=60).map(str.encode)
    values = [
        draw(each)
        for each in (
            *(number, st.binary(min_size=16, max_size=16), text, number, text, number, maybe, text, raw, text, maybe),
            *(number, number, number, st.none() | st.binary(min_size=32, max_size=32)),
            *(st.binary(max_size=300) | st.just(b"x" * 9_000), raw),
        )
    ]
    as_written = list(values)
    for index in (0, 3, 5, 11, 12, 13):
        as_written[index] = int(values[index])
    for index in (2, 4, 6, 7, 9, 10):
        as_written[index] = None if values[index] is None else values[index].decode()
    wanted = leaf_hash(leaf_bytes(*as_written))
    row = [*values, wanted]
    for index in (1, 8, 14, 17):
        row[index] = None if row[index] is None else row[index].hex().upper().encode()

    other = [*row[:17], b"00" * 32]

    assert leaves.first_wrong([row]) is None and leaves.plain_hash(row) == wanted
    assert leaves.first_wrong([row, other, row]) == 1


@given(
    scaled=st.integers(1, 10**9),
    percent=st.integers(1, 10_000),
    quantity=st.integers(1, 10**6),
    delivered=st.integers(0, 10**6),
)
def test_prices_and_captures_are_those_of_the_rules(scaled: int, percent: int, quantity: int, delivered: int) -> None:
    unit_price, share = f"{scaled // 10**6}.{scaled % 10**6:06d}", f"{percent // 100}.{percent % 100:02d}"
    wanted = price(unit_price, (), quantity, share, currency("CNY"))

    listed_by, listed_over, paid_by, paid_over = _factors(unit_price, share, "CNY")

    assert (listed_by * quantity + listed_over) // (2 * listed_over) == wanted.list_amount_minor
    assert (paid_by * quantity + paid_over) // (2 * paid_over) == wanted.amount_minor
    delivered = min(delivered, quantity)
    assert order_books.capture(scaled, delivered, quantity) == partial_capture(scaled, delivered, quantity)


def test_every_event_type_is_known_to_the_audit(root: Root) -> None:
    lived = {row[0] for row in root.query("SELECT DISTINCT type FROM events")}

    assert lived == set(EVENT_CLASSES)


@pytest.mark.parametrize("seed", range(TAMPERINGS))
def test_the_fast_audit_finds_what_the_slow_one_finds(
    sqlite_ledger_url: str, request: pytest.FixtureRequest, seed: int
) -> None:
    root = _sqlite_root(sqlite_ledger_url, request)
    assert first_bad_position(root.engine) is None
    chance = random.Random(seed)
    position = chance.randint(1, root.query("SELECT COUNT(*) FROM events")[0][0])
    values = _tampering(root, position, chance)

    root.change(position, sealed=chance.random() < 0.9, **values)

    wanted = first_bad_position(root.engine)
    for processes in (1, 4):
        report = root.verify(processes)
        if wanted is None:
            # Only the tables beside the log, or nothing at all, can know.
            assert report.status == "clean" or "table" in str(report.finding) or "reverse" in str(report.finding)
        else:
            assert report.first_bad_position == wanted, (values, report.finding)


def test_a_ledger_that_goes_on_meanwhile_is_clean(desk: Desk, ledger_url: str) -> None:
    live(desk)

    def go_on() -> None:
        while True:
            live(desk)

    # Not a thread: the audit forks, and a thread that is just inside SQLite would leave its locks to the child for ever.
    posting = multiprocessing.get_context("fork").Process(target=go_on)
    posting.start()
    reports = [Root(desk.engine, ledger_url, keep_triggers=True).verify(processes) for processes in (1, 3, 1, 3)]
    posting.terminate()
    posting.join()

    assert [(report.status, report.finding) for report in reports] == [("clean", None)] * 4
    assert reports[-1].events > reports[0].events


def test_an_empty_log_is_no_clean_log(ledger_url: str) -> None:
    report = verify(LedgerSettings(database_url=ledger_url), processes=1)

    assert (report.status, report.events) == ("cannot tell", 0)


def test_a_database_without_a_log_or_none_at_all_is_no_clean_log(tmp_path: Path) -> None:
    nothing = LedgerSettings(database_url=f"sqlite:///{tmp_path / 'nothing.sqlite'}")
    nobody = LedgerSettings(database_url="mysql+pymysql://nobody@127.0.0.1:1/nothing")

    assert verify(nothing, processes=1).status == "cannot tell"
    assert verify(nobody, processes=2).status == "cannot tell"


def test_what_nobody_expected_in_a_database_leaves_the_verdict_open(
    sqlite_ledger_url: str, request: pytest.FixtureRequest
) -> None:
    root = _sqlite_root(sqlite_ledger_url, request)
    # A text where only bytes can be, which SQLite takes.
    root.run("INSERT INTO checkpoints (size, root, note, sealed_at_us) VALUES (1, 'root', X'00', 1)")

    report = root.verify()

    assert report.status == "cannot tell" and "TypeError" in str(report.finding)


def test_a_process_that_dies_leaves_the_verdict_open(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any) -> RangeResult:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    monkeypatch.setattr(workers, "scan_here", die)

    report = root.verify(2)

    assert report.status == "cannot tell" and "process" in str(report.finding)


def test_a_finding_stays_when_the_search_for_an_earlier_one_fails(mariadb_ledger_url: str) -> None:
    engine = open_engine(mariadb_ledger_url, LedgerSettings())
    ledger = Ledger(engine, LedgerSettings())
    live(Desk(ledger, engine))
    ledger.close()
    Root(engine, mariadb_ledger_url).change(9, actor="key:forged")
    url = sa.make_url(mariadb_ledger_url)
    with proxied(str(url.query["unix_socket"])) as proxy:
        way = url.set(host="127.0.0.1", port=proxy.port, query={}).render_as_string(hide_password=False)
        proxy.lose_answer_when = lambda chunk: b"order.placed" in chunk

        report = verify(LedgerSettings(database_url=way), processes=1)

        assert proxy.lost_answers > 0
    assert (report.status, report.first_bad_position) == ("tampered", 9), report.finding
    engine.dispose()


def test_an_order_placed_again_is_found_whatever_page_of_the_log_it_was_placed_in(
    sqlite_ledger_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _sqlite_root(sqlite_ledger_url, request)
    first, second, last = (root.position_of("order.placed", number) for number in (1, 3, 4))
    root.change(second, order_id=root.event(first)["order_id"])
    root.change(last, order_id=root.event(first)["order_id"])

    for page in (1, 2, 3, 1_000):
        monkeypatch.setattr(write_side, "PAGE_ROWS", page)
        with root.engine.connect() as connection:
            found = [write_side.placed_again(connection, before) for before in (second, second + 1, last + 1)]

        assert [None if each is None else each.position for each in found] == [None, second, second]


def test_audits_read_the_replica_when_there_is_one(root: Root, sqlite_url: str, tmp_path: Path) -> None:
    upgrade(sqlite_url)
    replica = f"sqlite:///{tmp_path / 'replica.sqlite'}"
    upgrade(replica)
    settings = LedgerSettings(database_url=root.url, replica_urls=(replica,))

    report = verify(settings, processes=1)

    assert report.status == "cannot tell" and "no event" in str(report.finding)


def test_processes_that_scan_end_when_the_audit_is_killed() -> None:
    # A server that takes connections and says nothing: whoever scans waits for it.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mysql+pymysql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        begun = multiprocessing.get_context("fork").Event()

        def audit() -> None:
            with scan_processes(2, url, LedgerSettings(connect_timeout_s=60)) as scanning:
                for process in scanning:
                    process.begin(1, 10)
                begun.set()
                time.sleep(60)

        parent = multiprocessing.get_context("fork").Process(target=audit)
        parent.start()
        assert begun.wait(20) and parent.pid is not None
        children = children_of(parent.pid)

        parent.kill()
        parent.join()

        assert len(children) == 2
        assert are_gone(children)


def test_a_process_says_how_far_it_is(root: Root) -> None:
    process = ScanProcess(root.url, LedgerSettings(database_url=root.url))
    process.begin(1, 10)
    while not process.is_ready():
        pass

    assert process.answer().events == process.events == 10
    process.stop()


def _sqlite_root(url: str, request: pytest.FixtureRequest) -> Root:
    engine = open_engine(url, LedgerSettings())
    ledger = Ledger(engine, LedgerSettings())
    live(Desk(ledger, engine))
    ledger.close()
    request.addfinalizer(engine.dispose)
    return Root(engine, url)


def _tampering(root: Root, position: int, chance: random.Random) -> dict[str, Any]:
    row = root.event(position)
    other = root.event(chance.randint(1, root.query("SELECT COUNT(*) FROM events")[0][0]))
    match chance.randint(0, 5):
        case 0:
            column = chance.choice(["available_minor", "held_minor", "recorded_at_us"])
            return {column: max(0, row[column] + chance.choice([-1_000_000, -1, 1, 5_000]))}
        case 1:
            return {name: other[name] for name in ("type", "data", "postings")}
        case 2:
            return {"order_id": other["order_id"]}
        case 3:
            data = json.loads(row["data"])
            numbers = [name for name, value in data.items() if type(value) is int]
            if numbers:
                data[chance.choice(numbers)] += chance.choice([-100_000, -1, 1, 10])
            return {"data": json.dumps(data, separators=(",", ":"), sort_keys=True).encode()}
        case 4:
            return {"type": other["type"], "data": other["data"]}
        case _:
            return {"account_id": other["account_id"], "version": row["version"] + 1_000}


def test_a_long_audit_outlasts_the_servers_limit_of_idle_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan_for_long(*arguments: Any, **more: Any) -> RangeResult:
        time.sleep(2.5)
        return workers.scan_here(*arguments, **more)

    monkeypatch.setattr(verification, "scan_here", scan_for_long)
    with PrivateMariaDB(options={"idle-transaction-timeout": "1"}) as server:
        url = server.create_database("ledger")
        upgrade(url)
        engine = open_engine(url, LedgerSettings())
        desk = Desk(Ledger(engine, LedgerSettings()), engine)
        desk.open(recharged_minor=100)
        desk.ledger.close()
        engine.dispose()

        report = verify(LedgerSettings(database_url=url), processes=1)

    assert (report.status, report.finding, report.events) == ("clean", None, 2)
