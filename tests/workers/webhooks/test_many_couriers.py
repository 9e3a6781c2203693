"""Couriers in processes of their own, killed at any moment: no event is left out, the order is kept, repeats are repeats."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hook_receiver import Reply
from ledger.clock import now_us
from ledger.database import open_engine
from ledger.directory import webhooks
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings
from post_office import FAST, PostOffice
from proxy import Proxy, proxied
from workers.webhooks.courier import Courier
from workers.webhooks.subscriptions import Claims, Progress

ROOT = Path(__file__).resolve().parents[3]
EVENTS = 300
KILLS = 6
NEWS_S_MAX = 8.0
"""How long nothing may come before somebody is killed all the same."""
PATHS = ("/a", "/b", "/c")
PROGRAM = """
import sys
from ledger.database import open_engine
from ledger.settings import LedgerSettings
from ledger.webhooks.settings import WebhookSettings
from workers.webhooks.courier import Courier
engine = open_engine(sys.argv[1], LedgerSettings())
settings = WebhookSettings(allow_private=True, timeout_s=0.5, backoff_s=0.05, backoff_max_s=0.2, lease_s=1.5)
courier = Courier(log_engine=engine, directory_engine=engine, settings=settings)
while True:
    courier.wait(courier.advance(claiming=True) or 0.05)
"""


def program(office: PostOffice) -> subprocess.Popen[bytes]:
    url = office.desk.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen([sys.executable, "-c", PROGRAM, url], cwd=ROOT)


def prove_sequence(office: PostOffice, path: str, positions: list[int]) -> int:
    """Check that each event came, in the order of the log, and that repeats are alike; return how many repeats there were."""
    taken = office.receiver.taken(path)
    assert office.receiver.positions(path) == positions
    bodies: dict[str, set[bytes]] = {}
    for each in taken:
        assert each.message is not None, "a signature is wrong"
        bodies.setdefault(each.id, set()).add(each.body)
    assert all(len(found) == 1 for found in bodies.values()) and len(bodies) == len(positions)
    return len(taken) - len(bodies)


@pytest.mark.timeout(180)
def test_killed_and_frozen_couriers_leave_nothing_out(office: PostOffice) -> None:
    chance = random.Random(11)

    def behaviour(path: str, message_id: str) -> Reply:
        kind = chance.random()
        if kind < 0.02:
            return Reply(status=500)
        if kind < 0.04:
            return Reply(silent=True)
        return Reply(delay_s=0.8) if kind > 0.997 else Reply(delay_s=0.005)

    office.receiver.behaviour = behaviour
    account_id = office.customer()
    for path in PATHS:
        office.subscribe(path)
    processes = [program(office) for _ in range(2)]
    kills, posted, ends_at_s = 0, 0, time.monotonic() + 150

    def is_done() -> bool:
        return all(len(office.receiver.positions(path)) == EVENTS for path in PATHS)

    try:
        while not is_done() or kills < KILLS:
            assert time.monotonic() < ends_at_s, [len(office.receiver.positions(path)) for path in PATHS]
            before = len(office.receiver.received)
            for _ in range(min(60, EVENTS - posted)):
                office.desk.recharge(account_id, 1)
                posted += 1
            if kills == KILLS:
                time.sleep(0.2)
                continue
            # Whoever is killed has been at work: starting a process takes seconds on a busy machine.
            news_end_at_s = time.monotonic() + NEWS_S_MAX
            while len(office.receiver.received) < before + 10 and time.monotonic() < news_end_at_s:
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 0.3))
            victim = processes[kills % 2]
            if kills % 3 == 2:
                # Frozen past its lease: it comes back as a stale one.
                victim.send_signal(signal.SIGSTOP)
                time.sleep(1.8)
                victim.send_signal(signal.SIGCONT)
            else:
                os.kill(victim.pid, signal.SIGKILL)
                victim.wait()
                processes[kills % 2] = program(office)
            kills += 1
    finally:
        for each in processes:
            each.kill()
            each.wait()

    for path in PATHS:
        prove_sequence(office, path, list(range(2, EVENTS + 2)))


def test_two_couriers_share_subscriptions_and_never_one(office: PostOffice) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.002)
    account_id = office.customer()
    ids = [office.subscribe(f"/{number}") for number in range(6)]
    first, second = office.courier(), office.courier()
    for _ in range(50):
        office.desk.recharge(account_id, 1)

    office.deliver_until(lambda: all(office.lag(each) == 0 for each in ids), first, second)

    for number in range(6):
        assert prove_sequence(office, f"/{number}", list(range(2, 52))) == 0
    runners = {row["webhook_id"]: row["fence"] for row in office.desk.rows("SELECT * FROM webhook_progress")}
    assert all(fence >= 1 for fence in runners.values())


def test_a_stale_claim_changes_nothing(office: PostOffice) -> None:
    account_id = office.customer()
    webhook_id = office.subscribe()
    office.desk.recharge(account_id, 1)
    stale, other = Claims(office.directory.engine, "run_stale"), Claims(office.directory.engine, "run_other")
    (seen,) = stale.due(now_us(), 2, 10)
    (claimed,) = stale.take([seen], now_us=now_us(), lease_until_us=now_us() - 1)

    (taken_over,) = other.take(other.due(now_us(), 2, 10), now_us=now_us(), lease_until_us=now_us() + 10_000_000)
    late = replace(Progress.of(claimed), position=2, is_released=False)
    goes_on = stale.record([late], now_us=now_us(), lease_until_us=now_us() + 10_000_000)

    assert goes_on == [] and taken_over.fence == claimed.fence + 1
    assert office.read(webhook_id)["position"] == 1
    assert other.due(now_us(), 2, 10) == []
    assert stale.take([seen], now_us=now_us(), lease_until_us=now_us()) == []
    (row,) = office.desk.rows("SELECT runner, fence FROM webhook_progress")
    assert (row["runner"], row["fence"]) == ("run_other", taken_over.fence)


@pytest.mark.timeout(180)
def test_a_database_that_loses_answers_and_connections_costs_repeats_only(
    mariadb_office: PostOffice,
) -> None:
    office = mariadb_office
    near = office.desk.engine.url
    with proxied(str(near.query["unix_socket"])) as proxy:
        far = f"mysql+pymysql://root@127.0.0.1:{proxy.port}/{near.database}?ssl_disabled=true"
        engine = open_engine(far, LedgerSettings(statement_timeout_s=1.0))
        lose_and_cut(office, proxy, engine)
        engine.dispose()


def lose_and_cut(office: PostOffice, proxy: Proxy, engine: sa.Engine) -> None:
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.002)
    account_id = office.customer()
    webhook_id = office.subscribe()
    courier = Courier(log_engine=engine, directory_engine=engine, settings=replace(FAST, lease_s=2.0))

    for round_ in range(6):
        for _ in range(40):
            office.desk.recharge(account_id, 1)
        ends_at_s = time.monotonic() + 0.8
        while time.monotonic() < ends_at_s:
            courier.advance(claiming=True)
            courier.wait(0.01)
        if round_ % 2 == 0:
            proxy.lose_answer_when = lambda chunk: b"COMMIT" in chunk or b"commit" in chunk
        proxy.cut()
        ends_at_s = time.monotonic() + 0.5
        while time.monotonic() < ends_at_s:
            courier.advance(claiming=True)
            courier.wait(0.01)
        proxy.lose_answer_when = lambda chunk: False
    office.deliver_until(lambda: office.lag(webhook_id) == 0, courier, timeout_s=60)

    prove_sequence(office, "/hook", list(range(2, 242)))
    courier.close()


def test_stopping_records_what_was_sent_and_gives_the_claims_back(sqlite_office: PostOffice) -> None:
    office = sqlite_office
    office.receiver.behaviour = lambda path, message_id: Reply(delay_s=0.05)
    account_id = office.customer()
    webhook_id = office.subscribe()
    for _ in range(40):
        office.desk.recharge(account_id, 1)
    courier = office.courier()
    office.deliver_until(lambda: len(office.receiver.taken()) >= 3, courier)

    courier.close()

    sent = len(office.receiver.taken())
    assert sent < 40 and office.read(webhook_id)["position"] == sent + 1
    (row,) = office.desk.rows("SELECT runner, lease_until_us FROM webhook_progress")
    assert (row["runner"], row["lease_until_us"]) == ("", 0)
    attempts = office.attempts(webhook_id)
    assert [each["position"] for each in attempts] == list(range(2, sent + 2))
    assert json.loads(office.receiver.taken()[0].body)["type"] == "recharge.posted"


def test_log_and_directory_may_live_in_two_databases(
    sqlite_office: PostOffice, tmp_path: Path, migrated_sqlite: Path
) -> None:
    import shutil

    office = sqlite_office
    shutil.copyfile(migrated_sqlite, tmp_path / "directory.sqlite")
    engine = open_engine(f"sqlite:///{tmp_path / 'directory.sqlite'}", LedgerSettings())
    office.directory = Directory(engine)
    account_id = office.customer(recharged_minor=1_000, threshold="5.00")
    webhook_id = office.subscribe()
    office.desk.deduct(account_id, 700)

    office.deliver_all(webhook_id)

    assert office.receiver.types() == ["deduction.posted", "balance.low"]
    assert webhooks.read(office.directory, webhook_id, head=3)["position"] == 3
    engine.dispose()
