"""Reads of the past from real replicas: level, late, stopped, hanging, killed on the way, and back again."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from api.doctor import examine
from directory_front import open_front
from ha.replica_pair import DATABASE, ReplicaPair, replica_pair, selects
from ha.scores import Scores
from ledger.audit.verification import verify
from ledger.commands import Recharge
from ledger.database import open_reading_engine
from ledger.exporting.export import export
from ledger.safety.checks import Finding
from ledger.safety.replicas import findings_of_replicas
from ledger.settings import LedgerSettings, read_settings
from servers import PrivateMariaDB, PrivateRedis
from submissions import submission
from till import Till, open_till

RETRY_S = 2.0
WAIT_S = 1.0
LOOK_S = 1.2
"""Within which a process knows anew what a replica is like."""
PAGES = 4
EVENTS = 1_000 * PAGES
STREAM_PAGE = 500


@pytest.fixture(scope="module")
def servers() -> Iterator[ReplicaPair]:
    with replica_pair(replicas=2) as pair:
        yield pair


@pytest.fixture(scope="module")
def shop(servers: ReplicaPair, redis_server: PrivateRedis) -> Iterator[Till]:
    """A till on the primary, with a log of several pages, whose past is read from the replicas."""
    settings = {
        "REPLICA_URLS": servers.replica_urls,
        "REPLICA_RETRY_S": str(RETRY_S),
        "REPLICA_LAG_S_MAX": "5",
        "MIN_POSITION_WAIT_S": str(WAIT_S),
        "STATEMENT_TIMEOUT_S": "2",
        "CONNECT_TIMEOUT_S": "1",
    }
    front = open_front(servers.primary.tcp_url(DATABASE), redis_server.url(), **settings)
    till = open_till(front)
    ids = [till.customer_id] * EVENTS
    recharges = [submission(Recharge(account_id=each, amount_minor=100, currency="CNY")) for each in ids]
    front.services.ledger.append_batch(recharges, atomic=False)
    yield till
    front.services.close()


@pytest.fixture
def pair(servers: ReplicaPair, shop: Till) -> Iterator[ReplicaPair]:
    """Both replicas level and in use before the test, and running after it, whatever the test did."""
    _restore(servers, shop)
    yield servers
    for each in servers.replicas:
        if not each.is_running:
            each.start()
    _restore(servers, shop)


@pytest.fixture
def till(shop: Till, pair: ReplicaPair) -> Till:
    assert pair.replicas
    return shop


def test_level_replicas_take_the_reads_in_turn(till: Till, pair: ReplicaPair) -> None:
    newest = pair.position(pair.primary)
    before = [selects(each) for each in (*pair.replicas, pair.primary)]

    for _ in range(60):
        assert position_of(till, "events?limit=5") == newest
    first, second, primary = (
        now - then for now, then in zip(map(selects, (*pair.replicas, pair.primary)), before, strict=True)
    )

    # One read is two selects; the rest is looking at the replicas once a second.
    assert min(first, second) >= 60, (first, second, primary)
    assert primary < 40, (first, second, primary)


def test_a_late_replica_answers_with_what_it_has_unless_a_position_is_asked_for(
    till: Till, pair: ReplicaPair, scores: Scores
) -> None:
    old = pair.position(pair.primary)
    for number in (0, 1):
        pair.follow(number, delay_s=3)
    newest = till.recharge("1.00").json["position"]

    plain = till.get("events?limit=1")
    began_s = time.monotonic()
    fresh = till.get(f"events?limit=5&after={old - 1}", Ledger_Min_Position=str(newest))
    took_s = time.monotonic() - began_s
    time.sleep(3)
    pair.wait_until_level()
    before = selects(pair.primary)
    began_s = time.monotonic()
    reached = position_of(till, "trial-balance", Ledger_Min_Position=str(newest))
    quick_s = time.monotonic() - began_s

    seen = [each["position"] for each in fresh.json["data"]]
    assert int(plain.headers["Ledger-Position"]) == old
    assert seen == [old, newest]
    assert WAIT_S <= took_s < WAIT_S + 1.5
    assert reached == newest and quick_s < WAIT_S + 0.5
    assert selects(pair.primary) - before < 10
    scores.add(
        "replicas 3 s late",
        acknowledged=2,
        lost=2 - len(set(seen)),
        doubled=len(seen) - len(set(seen)),
        recovery_s=took_s,
        note="a read that needs the newest position",
    )


def test_a_minimum_position_that_a_replica_reaches_in_time_is_read_there(till: Till, pair: ReplicaPair) -> None:
    for number in (0, 1):
        pair.follow(number)
    newest = till.recharge("1.00").json["position"]

    before = sum(map(selects, pair.replicas))
    for _ in range(10):
        assert position_of(till, "events?limit=1", Ledger_Min_Position=str(newest)) >= newest

    assert sum(map(selects, pair.replicas)) - before >= 10


def test_a_stopped_replica_is_old_for_ever_and_left_alone_beyond_the_limit(
    till: Till, pair: ReplicaPair, scores: Scores
) -> None:
    old = pair.position(pair.primary)
    for number in (0, 1):
        pair.stop_applying(number)
    till.recharge("1.00")
    newest = till.recharge("1.00").json["position"]

    at_first = position_of(till, "events?limit=1")
    at_the_end = till.get(f"events?after={newest - 1}")
    time.sleep(5 + LOOK_S)
    later = position_of(till, "events?limit=1")
    problems = {each.problem for each in till.front.services.replicas.states()}

    assert at_first == old
    assert [each["position"] for each in at_the_end.json["data"]] == [newest]
    assert later == newest
    assert problems == {"is too far behind"}
    seen = [each["position"] for each in at_the_end.json["data"]]
    scores.add(
        "replicas stopped",
        acknowledged=newest,
        lost=newest - later,
        doubled=len(seen) - len(set(seen)),
        note="beyond the limit the primary is read",
    )


def test_a_replica_killed_in_the_middle_of_an_export_costs_its_reader_nothing(
    till: Till, pair: ReplicaPair, scores: Scores
) -> None:
    head = pair.position(pair.primary)
    before = selects(pair.replicas[0])
    sent = {"Authorization": f"Bearer {till.front.secret}"}

    answer = till.front.app.test_client().get("/v1/log/export", headers=sent, buffered=False)
    pieces = [next(answer.response) for _ in range(2)]
    read_there = selects(pair.replicas[0]) - before
    for each in pair.replicas:
        each.kill()
    began_s = time.monotonic()
    pieces += list(answer.response)
    took_s = time.monotonic() - began_s
    answer.close()

    lines = [json.loads(line) for line in b"".join(map(_bytes, pieces)).splitlines()]
    positions = [line["position"] for line in lines if "position" in line and "leaf_hash" in line]
    assert read_there >= 2
    assert positions == list(range(1, head + 1))
    assert lines[-1] != lines[-2] and "root" in json.dumps(lines[-1])
    lost = head - len(set(positions))
    scores.add(
        "replicas killed in an export",
        acknowledged=head,
        lost=lost,
        doubled=len(positions) - len(set(positions)),
        recovery_s=took_s,
        note="the rest came from the primary",
    )


def test_an_export_by_hand_goes_on_at_the_second_replica(pair: ReplicaPair, till: Till) -> None:
    settings = _settings(pair)
    head = pair.position(pair.primary)
    out = io.BytesIO()
    before = selects(pair.primary)

    def kill_the_first(done: int, total: int) -> None:
        if done and pair.replicas[0].is_running:
            pair.replicas[0].kill()

    exported = export(settings, out, format="jsonl", progress=kill_the_first)

    assert (exported.events, exported.head) == (head, head)
    assert not pair.replicas[0].is_running
    # Looking whether the replicas have the primary's log is all that the primary was asked for.
    assert selects(pair.primary) - before < 20


def test_replicas_killed_in_the_middle_of_a_feed_cost_its_reader_nothing(
    till: Till, pair: ReplicaPair, scores: Scores
) -> None:
    head = pair.position(pair.primary)
    sent = {"Authorization": f"Bearer {till.front.secret}", "Accept": "text/event-stream"}

    answer = till.front.app.test_client().get("/v1/events", headers=sent, buffered=False)
    seen = _ids(answer, STREAM_PAGE + 10)
    pair.replicas[0].kill()
    seen += _ids(answer, STREAM_PAGE)
    pair.replicas[1].kill()
    newest = till.recharge("1.00").json["position"]
    began_s = time.monotonic()
    seen += _ids(answer, newest - len(seen))
    took_s = time.monotonic() - began_s
    answer.close()

    assert newest == head + 1
    assert seen == list(range(1, newest + 1))
    scores.add(
        "replicas killed in a feed",
        acknowledged=newest,
        lost=newest - len(set(seen)),
        doubled=len(seen) - len(set(seen)),
        recovery_s=took_s,
    )


def test_a_replica_that_is_back_is_read_again_within_the_named_time(till: Till, pair: ReplicaPair) -> None:
    for each in pair.replicas:
        each.kill()
    newest = till.recharge("1.00").json["position"]
    assert position_of(till, "events?limit=1") == newest
    assert [each.problem for each in till.front.services.replicas.states()] == ["cannot be read"] * 2

    pair.replicas[0].start()
    back_s = time.monotonic()
    while till.front.services.replicas.states()[0].problem is not None:
        assert position_of(till, "events?limit=1") <= newest
        assert time.monotonic() - back_s < RETRY_S + 2 * LOOK_S
        time.sleep(0.05)
    before = selects(pair.replicas[0])
    for _ in range(20):
        assert position_of(till, "events?limit=1") <= newest

    assert selects(pair.replicas[0]) - before >= 20


def test_a_hanging_replica_delays_no_reader_beyond_the_deadline(till: Till, pair: ReplicaPair, scores: Scores) -> None:
    newest = pair.position(pair.primary)
    for each in pair.replicas:
        each.pause()
    try:
        began_s = time.monotonic()
        first = position_of(till, "events?limit=1")
        first_s = time.monotonic() - began_s
        began_s = time.monotonic()
        for _ in range(10):
            assert position_of(till, "events?limit=1") == newest
        then_s = time.monotonic() - began_s
    finally:
        for each in pair.replicas:
            each.resume()

    assert first == newest and first_s < 6
    # Now and then one of them looks whether the replicas are back, and waits a second for each.
    assert then_s < 5
    scores.add("replicas hanging", acknowledged=newest, lost=newest - first, doubled=0, recovery_s=first_s)


def test_while_the_primary_is_away_the_replicas_still_answer(till: Till, pair: ReplicaPair) -> None:
    old = pair.wait_until_level()
    position_of(till, "events?limit=1")
    pair.primary.pause()
    try:
        replicas = till.front.services.replicas
        read = replicas.read(lambda connection: connection.exec_driver_sql("SELECT position FROM log_head").scalar())
        states = replicas.states()
    finally:
        pair.primary.resume()

    assert read == old
    assert [(each.position, each.lag_events, each.problem) for each in states] == [(old, None, None)] * 2


def test_a_client_that_pages_over_the_replicas_never_skips_an_event(
    till: Till, pair: ReplicaPair, scores: Scores
) -> None:
    pair.follow(1, delay_s=1)
    begin = pair.position(pair.primary)
    done = threading.Event()

    def post() -> None:
        for number in range(150):
            till.front.services.ledger.append(
                submission(Recharge(account_id=till.customer_id, amount_minor=1 + number, currency="CNY"))
            )
            time.sleep(0.01)
        done.set()

    writer = threading.Thread(target=post)
    writer.start()
    seen: list[int] = []
    reflected: list[int] = []
    ends_at_s = time.monotonic() + 60
    while not (done.is_set() and seen and seen[-1] == pair.position(pair.primary)):
        assert time.monotonic() < ends_at_s
        answer = till.get(f"events?limit=7&after={seen[-1] if seen else begin}")
        assert answer.status_code == 200
        seen += [each["position"] for each in answer.json["data"]]
        # Two, because the servers take turns.
        reflected += [position_of(till, "events?limit=1") for _ in range(2)]
    writer.join()

    assert seen == list(range(begin + 1, begin + 151))
    assert any(after < before for before, after in itertools.pairwise(reflected)), "it never met the late one"
    scores.add("paging over replicas", acknowledged=150, lost=150 - len(set(seen)), doubled=len(seen) - len(set(seen)))


def test_an_audit_says_which_server_it_read(pair: ReplicaPair, till: Till) -> None:
    settings = _settings(pair)

    from_replica = verify(settings, processes=2, events_per_process_min=1)
    pair.replicas[0].kill()
    from_second = verify(settings, processes=1)
    pair.replicas[1].kill()
    from_primary = verify(settings, processes=1)

    assert [each.status for each in (from_replica, from_second, from_primary)] == ["clean"] * 3
    port = pair.replicas[0].port
    assert from_replica.server == f"replica 1 (127.0.0.1:{port}/{DATABASE})"
    assert from_second.server.startswith("replica 2 (")
    assert from_primary.server.startswith("the primary; replica 1 (") and "cannot be read" in from_primary.server


def test_the_doctor_names_what_is_wrong_with_each_replica(pair: ReplicaPair, till: Till) -> None:
    environment = {
        "ORDERLEDGER_DATABASE_URL": pair.primary.tcp_url(DATABASE),
        "ORDERLEDGER_REPLICA_URLS": pair.replica_urls,
        "ORDERLEDGER_REPLICA_LAG_S_MAX": "0.5",
    }

    good = list(_findings(environment))
    pair.replicas[0].execute("SET GLOBAL read_only=0")
    pair.stop_applying(1)
    till.recharge("1.00")
    time.sleep(0.6)
    writable, behind = _findings(environment)
    pair.replicas[0].execute("SET GLOBAL read_only=1")
    pair.follow(1)
    pair.wait_until_level()

    assert [each["state"] for each in good] == ["good", "good"]
    assert (writable["state"], "takes writes" in writable["finding"]) == ("bad", True)
    assert (behind["state"], "is too far behind: 1 events" in behind["finding"]) == ("bad", True)

    with PrivateMariaDB() as stranger:
        url = stranger.create_database(DATABASE)
        found = list(_findings({**environment, "ORDERLEDGER_REPLICA_URLS": url}))
        engine = sa.create_engine(pair.primary.url(DATABASE))
        whole = examine({**environment, "ORDERLEDGER_REPLICA_URLS": url}, log=engine, directory=engine, clients=[])
        engine.dispose()
    assert [each["state"] for each in found] == ["bad"]
    assert found[0] in whole


def test_a_replica_of_another_log_is_never_read(pair: ReplicaPair, till: Till) -> None:
    forged = pair.replicas[1]
    forged.execute("STOP SLAVE")
    forged.execute("SET GLOBAL read_only=0")
    trigger = forged.execute(
        "SELECT trigger_name FROM information_schema.triggers WHERE event_manipulation='UPDATE' "
        f"AND event_object_table='events' AND trigger_schema='{DATABASE}'"
    )[0][0]
    definition = forged.execute(f"SHOW CREATE TRIGGER {trigger}", DATABASE)[0][2]
    head = pair.position(forged)
    leaf = forged.execute(f"SELECT HEX(leaf_hash) FROM events WHERE position={head}", DATABASE)[0][0]
    forged.execute(f"DROP TRIGGER {trigger}", DATABASE)
    forged.execute(f"UPDATE events SET leaf_hash=REPEAT(x'00', 32) WHERE position={head}", DATABASE)
    try:
        time.sleep(LOOK_S)
        before = selects(forged)
        for _ in range(20):
            position_of(till, "events?limit=1")
        states = till.front.services.replicas.states()
        report = verify(dataclasses.replace(_settings(pair), replica_urls=(forged.tcp_url(DATABASE),)), processes=1)
    finally:
        forged.execute(f"UPDATE events SET leaf_hash=x'{leaf}' WHERE position={head}", DATABASE)
        forged.execute(definition, DATABASE)
        forged.execute("SET GLOBAL read_only=1")

    assert [each.problem for each in states] == [None, "holds another log"]
    assert selects(forged) - before < 15
    assert report.status == "clean" and "holds another log" in report.server


def test_nothing_is_written_to_a_replica_even_by_who_may(pair: ReplicaPair) -> None:
    engine = open_reading_engine(pair.replicas[0].tcp_url(DATABASE), LedgerSettings())

    with pytest.raises(sa.exc.OperationalError, match="1792"), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM claims")
    engine.dispose()


def position_of(till: Till, path: str, **headers: str) -> int:
    answer = till.get(path, **headers)
    assert answer.status_code == 200, answer.text
    return int(answer.headers["Ledger-Position"])


def _findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    return findings_of_replicas(read_settings(LedgerSettings, environment))


def _settings(pair: ReplicaPair) -> LedgerSettings:
    return LedgerSettings(database_url=pair.primary.tcp_url(DATABASE), replica_urls=tuple(pair.replica_urls.split(",")))


def _restore(servers: ReplicaPair, till: Till) -> None:
    for number in range(len(servers.replicas)):
        servers.follow(number)
    servers.wait_until_level()
    ends_at_s = time.monotonic() + 3 * RETRY_S
    while any(each.problem for each in till.front.services.replicas.states()):
        assert time.monotonic() < ends_at_s
        time.sleep(0.1)


def _ids(answer: Any, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        text = _bytes(next(answer.response)).decode()
        if text.startswith("id: "):
            found.append(int(text.split("\n")[0][4:]))
    return found


def _bytes(piece: Any) -> bytes:
    return piece if isinstance(piece, bytes) else str(piece).encode()
