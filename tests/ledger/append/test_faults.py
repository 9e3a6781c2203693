"""Connections lost before, during and after the commit; locks held by others; a database that is away: at most one
effect.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import errors
from ledger.append import Ledger, committer
from ledger.append.trouble import Trouble, trouble_of
from ledger.commands import Deduct, Recharge
from ledger.database import open_append_connection, open_engine
from ledger.settings import LedgerSettings
from ledger.submission import Outcome
from proxy import Proxy, proxied
from submissions import Desk, prove, submission

FAST = LedgerSettings(statement_timeout_s=1.0, connect_timeout_s=0.5, lock_timeout_s=1, append_timeout_s=4.0)


@pytest.fixture
def proxy(mariadb_ledger_url: str) -> Iterator[Proxy]:
    url = sa.make_url(mariadb_ledger_url)
    with proxied(str(url.query["unix_socket"])) as running:
        yield running


@pytest.fixture
def far(proxy: Proxy, mariadb_ledger_url: str) -> Iterator[Desk]:
    """A desk whose ledger reaches MariaDB through the proxy; its engine does not."""
    url = sa.make_url(mariadb_ledger_url)
    through = f"mysql+pymysql://root@127.0.0.1:{proxy.port}/{url.database}?ssl_disabled=true"
    ledger = Ledger(open_engine(through, FAST), FAST)
    engine = open_engine(mariadb_ledger_url, FAST)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


@pytest.fixture
def desk_on_mariadb(mariadb_ledger_url: str) -> Iterator[Desk]:
    settings = LedgerSettings()
    engine = open_engine(mariadb_ledger_url, settings)
    ledger = Ledger(engine, settings)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


def losing_the_answer_to_commit(proxy: Proxy, times: int) -> None:
    left = [times]

    def lose(chunk: bytes) -> bool:
        if b";COMMIT" in chunk and left[0] > 0:
            left[0] -= 1
            return True
        return False

    proxy.lose_answer_when = lose


def test_a_commit_whose_answer_is_lost_is_found_done_and_answered_as_if_nothing_happened(
    far: Desk, proxy: Proxy
) -> None:
    account_id = far.open()
    losing_the_answer_to_commit(proxy, 1)

    outcome = far.recharge(account_id, 100, "k1")

    assert proxy.lost_answers == 1
    assert outcome.error is None and outcome.replayed and outcome.position == 2
    assert prove(far.engine) == 2


def test_a_commit_whose_answers_stay_lost_is_unknown_until_it_is_repeated(far: Desk, proxy: Proxy) -> None:
    account_id = far.open()

    def lose_and_refuse(chunk: bytes) -> bool:
        proxy.refusing = proxy.refusing or b";COMMIT" in chunk
        return proxy.refusing

    proxy.lose_answer_when = lose_and_refuse
    with pytest.raises(errors.OutcomeUnknown):
        far.recharge(account_id, 100, "k1")
    proxy.lose_answer_when, proxy.refusing = (lambda _: False), False

    repeat = far.recharge(account_id, 100, "k1")

    assert repeat.replayed and repeat.error is None
    assert prove(far.engine) == 2


def test_a_connection_cut_before_the_commit_costs_only_a_retry(far: Desk, proxy: Proxy) -> None:
    account_id = far.open()
    proxy.cut()

    outcome = far.recharge(account_id, 100)

    assert outcome.error is None and not outcome.replayed
    assert far.ledger.statistics.retries == 1


@pytest.mark.parametrize(
    "step", [b"SET NAMES", b"ISOLATION LEVEL", b"VERSION()", b"DATABASE()", b"@@sql_mode", b"@@lower_case"]
)
def test_a_connection_lost_while_it_is_set_up_costs_only_a_retry(far: Desk, proxy: Proxy, step: bytes) -> None:
    account_id = far.open()
    left = [1]

    def lose(chunk: bytes) -> bool:
        if step in chunk and left[0] > 0:
            left[0] -= 1
            return True
        return False

    proxy.lose_answer_when = lose
    proxy.cut()

    outcome = far.recharge(account_id, 100)

    assert proxy.lost_answers == 1
    assert outcome.error is None
    assert prove(far.engine) == 2


def test_a_database_that_refuses_connections_surely_recorded_nothing(far: Desk, proxy: Proxy) -> None:
    account_id = far.open()
    proxy.refusing = True
    proxy.cut()
    started = time.monotonic()

    with pytest.raises(errors.NothingRecorded):
        far.recharge(account_id, 100, "k1")

    assert time.monotonic() - started < 3.5
    proxy.refusing = False
    assert not far.recharge(account_id, 100, "k1").replayed


def test_a_frozen_database_is_answered_in_time_and_the_key_settles_it_later(far: Desk, proxy: Proxy) -> None:
    account_id = far.open()
    proxy.frozen.set()
    started = time.monotonic()

    with pytest.raises(errors.Unavailable):
        far.recharge(account_id, 100, "k1")

    assert time.monotonic() - started < FAST.append_timeout_s + 1
    proxy.frozen.clear()
    assert far.recharge(account_id, 100, "k1").error is None
    assert prove(far.engine) == 2


def test_the_heads_lock_held_by_another_is_waited_for_and_then_given_up_without_effect(far: Desk) -> None:
    account_id = far.open()
    with far.engine.connect() as other:
        other.exec_driver_sql("SELECT position FROM log_head WHERE id=1 FOR UPDATE")
        with pytest.raises(errors.NothingRecorded):
            far.recharge(account_id, 100, "k1")
        other.rollback()

    assert not far.recharge(account_id, 100, "k1").replayed
    assert prove(far.engine) == 2


def test_callers_are_answered_while_the_next_group_waits_for_the_head(desk_on_mariadb: Desk) -> None:
    desk = desk_on_mariadb
    account_id = desk.open(recharged_minor=1_000)
    stop, waits_s = threading.Event(), []

    def hold_the_head() -> None:
        while not stop.is_set():
            with desk.engine.begin() as other:
                other.exec_driver_sql("SELECT position FROM log_head WHERE id=1 FOR UPDATE")
                time.sleep(0.2)

    def deduct() -> None:
        for _ in range(5):
            started = time.monotonic()
            assert desk.deduct(account_id, 1).error is None
            waits_s.append(time.monotonic() - started)

    holder, callers = threading.Thread(target=hold_the_head), [threading.Thread(target=deduct) for _ in range(6)]
    for thread in (holder, *callers):
        thread.start()
    for caller in callers:
        caller.join()
    stop.set()
    holder.join()

    assert len(waits_s) == 30 and max(waits_s) < 3.0
    assert prove(desk.engine) == 32


def test_whoever_hangs_with_the_heads_lock_stops_the_others_for_some_seconds_only(
    mariadb_ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LedgerSettings(statement_timeout_s=1.0, lock_timeout_s=1, append_timeout_s=40.0)
    engine = open_engine(mariadb_ledger_url, settings)
    hanging, other = Desk(Ledger(engine, settings), engine), Desk(Ledger(engine, settings), engine)
    account_id = hanging.open()
    hangs, goes_on = threading.Event(), threading.Event()
    decide_group = committer.decide_group

    def hang_once(*given: Any) -> Any:
        if not hangs.is_set():
            hangs.set()
            goes_on.wait(40)
        return decide_group(*given)

    monkeypatch.setattr(committer, "decide_group", hang_once)
    outcome = None
    with ThreadPoolExecutor(1) as thread:
        hung = thread.submit(hanging.recharge, account_id, 100)
        assert hangs.wait(10)
        ends_at_s = time.monotonic() + 30
        while outcome is None and time.monotonic() < ends_at_s:
            with contextlib.suppress(errors.NothingRecorded):
                outcome = other.recharge(account_id, 1, "k1")
        goes_on.set()
        late = hung.result()

    assert outcome is not None and outcome.position == 2
    assert (late.error, late.replayed, late.position) == (None, False, 3)
    assert hanging.ledger.statistics.retries == 1
    assert prove(engine) == 3
    for desk in (hanging, other):
        desk.ledger.close()
    engine.dispose()


def test_a_writer_that_has_nothing_to_do_holds_nothing(desk_on_mariadb: Desk) -> None:
    desk = desk_on_mariadb
    account_id = desk.open(recharged_minor=1_000)

    def deduct() -> None:
        for _ in range(10):
            assert desk.deduct(account_id, 1).error is None

    callers = [threading.Thread(target=deduct) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    transactions = (
        "SELECT id FROM information_schema.innodb_trx JOIN information_schema.processlist ON id=trx_mysql_thread_id "
        "WHERE db=DATABASE()"
    )
    idle_by_s = time.monotonic() + 2
    while (held := desk.rows(transactions)) and time.monotonic() < idle_by_s:
        time.sleep(0.05)
    assert held == []


def test_killed_connections_under_load_lose_and_double_nothing(far: Desk) -> None:
    account_id = far.open(recharged_minor=100_000)
    stop = threading.Event()

    def kill_now_and_then() -> None:
        while not stop.wait(0.02):
            with far.engine.connect() as connection:
                listed = connection.exec_driver_sql(
                    "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
                )
                for (connection_id,) in listed.fetchall():
                    with contextlib.suppress(sa.exc.DBAPIError):
                        connection.exec_driver_sql(f"KILL CONNECTION {connection_id}")

    def deduct_as_clients_do() -> Outcome:
        command = Deduct(account_id=account_id, amount_minor=1, currency="CNY")
        same = submission(command)
        for _ in range(10):
            with contextlib.suppress(errors.OutcomeUnknown, errors.NothingRecorded):
                return far.ledger.append(same)
        raise AssertionError("ten tries, and no answer")

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        accepted = sum(deduct_as_clients_do().error is None for _ in range(400))
    finally:
        stop.set()
        killer.join()

    assert accepted == 400
    assert far.ledger.statistics.retries > 0
    assert prove(far.engine) == 402


def test_more_commands_than_may_wait_are_refused_at_once(mariadb_ledger_url: str) -> None:
    settings = LedgerSettings(append_queue_max=2, append_timeout_s=8.0, lock_timeout_s=1)
    engine = open_engine(mariadb_ledger_url, settings)
    desk = Desk(Ledger(engine, settings), engine)
    account_id = desk.open()
    answers: list[str] = []

    def deduct() -> None:
        try:
            desk.ledger.append(submission(Deduct(account_id=account_id, amount_minor=1, currency="CNY")))
        except errors.NothingRecorded as error:
            answers.append(error.reason)

    with engine.connect() as other:
        other.exec_driver_sql("SELECT position FROM log_head WHERE id=1 FOR UPDATE")
        callers = [threading.Thread(target=deduct) for _ in range(10)]
        for caller in callers:
            caller.start()
            time.sleep(0.02)
        for caller in callers:
            caller.join()
        other.rollback()

    assert answers.count("too many commands are waiting") == 7
    assert prove(engine) == 1
    desk.ledger.close()
    engine.dispose()


def test_a_ledger_that_closes_commits_what_waits_and_refuses_the_rest(desk: Desk) -> None:
    account_id = desk.open()

    desk.ledger.close()

    with pytest.raises(errors.NothingRecorded):
        desk.recharge(account_id, 1)
    assert prove(desk.engine) == 1


def test_the_append_connection_is_durable(tmp_path: Path) -> None:
    connection = open_append_connection(f"sqlite:///{tmp_path / 'l.sqlite'}", LedgerSettings())

    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # type: ignore[union-attr]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # type: ignore[union-attr]


def test_errors_of_the_drivers_are_told_apart() -> None:
    import pymysql

    known = {
        1205: Trouble.CONFLICT,
        1213: Trouble.CONFLICT,
        1020: Trouble.CONFLICT,
        2013: Trouble.LOST,
        2006: Trouble.LOST,
        1153: Trouble.REJECTED,
    }
    for number, trouble in {**known, 1290: Trouble.UNAVAILABLE, 1040: Trouble.UNAVAILABLE}.items():
        assert trouble_of(pymysql.err.OperationalError(number, "x")) is trouble
    assert trouble_of(pymysql.err.IntegrityError(1062, "x")) is Trouble.REJECTED
    assert trouble_of(pymysql.err.DataError(1406, "x")) is Trouble.REJECTED


def test_what_comes_behind_a_slice_that_was_not_recorded_is_not_decided_without_it(
    proxy: Proxy, mariadb_ledger_url: str
) -> None:
    url = sa.make_url(mariadb_ledger_url)
    settings = LedgerSettings(statement_timeout_s=1.0, connect_timeout_s=0.5, append_timeout_s=9.0, append_group_max=10)
    through = f"mysql+pymysql://root@127.0.0.1:{proxy.port}/{url.database}?ssl_disabled=true"
    desk = Desk(Ledger(open_engine(through, settings), settings), open_engine(mariadb_ledger_url, settings))
    account_id = desk.open()
    money = [submission(Recharge(account_id=account_id, amount_minor=1, currency="CNY")) for _ in range(10)]
    spent = [submission(Deduct(account_id=account_id, amount_minor=1, currency="CNY")) for _ in range(10)]
    proxy.refusing = True
    proxy.cut()
    back = threading.Timer(3.0, setattr, (proxy, "refusing", False))
    back.start()

    outcomes = desk.ledger.append_batch([*money, *spent], atomic=False)
    back.join()
    again = desk.ledger.append_batch([*money, *spent], atomic=False)

    assert {type(each.error) for each in outcomes} == {errors.NothingRecorded}
    assert [each.error for each in again] == [None] * 20
    assert prove(desk.engine) == 21
    desk.ledger.close()
    desk.engine.dispose()


def test_a_group_that_is_too_large_for_a_packet_is_posted_one_by_one(desk_on_mariadb: Desk) -> None:
    desk = desk_on_mariadb
    account_id = desk.open()
    with desk.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER too_large BEFORE INSERT ON events FOR EACH ROW "
            "IF NEW.position > (SELECT position FROM log_head WHERE id=1) + 5 THEN "
            "SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO=1153, MESSAGE_TEXT='Got a packet bigger than max_allowed_packet'; "
            "END IF"
        )
    wanted = [submission(Recharge(account_id=account_id, amount_minor=1, currency="CNY")) for _ in range(10)]

    outcomes = desk.ledger.append_batch(wanted, atomic=False)

    assert [each.error for each in outcomes] == [None] * 10
    assert prove(desk.engine) == 11
