"""A primary and its standby in one URL: who is written to when one dies, hangs, is demoted, or both take writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import errors
from ledger.append import Ledger
from ledger.database import node_urls, open_engine, opened_cluster, url_of
from ledger.migrate import upgrade
from ledger.reading import read
from ledger.safety.checks import BAD, GOOD
from ledger.safety.nodes import findings_of_nodes
from ledger.settings import LedgerSettings
from proxy import Proxy, proxied
from servers import PrivateMariaDB
from submissions import Desk, prove

RECOVERY_S_MAX = 30.0
SETTINGS = LedgerSettings(connect_timeout_s=2.0)
DATABASE = "ledger"


class Pair:
    """A primary and a standby that follows it and refuses writes until it is promoted."""

    def __init__(self) -> None:
        options = {"gtid-strict-mode": "ON", "log-slave-updates": "ON"}
        self.primary = PrivateMariaDB(binlog=True, options={**options, "server-id": "1"})
        self.standby = PrivateMariaDB(binlog=True, options={**options, "server-id": "2", "read-only": "ON"})

    def start(self) -> None:
        """Start both, with an empty, migrated log on the primary."""
        self.primary.start()
        self.standby.start()
        self.standby.execute(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={self.primary.port}, master_user='root', "
            "master_use_gtid=slave_pos"
        )
        self.standby.execute("START SLAVE")
        self.primary.create_database(DATABASE)
        upgrade(self.primary.url(DATABASE))

    def wait_until_followed(self) -> None:
        """Wait until the standby has everything."""
        reached = self.primary.execute("SELECT @@gtid_binlog_pos")[0][0]
        assert self.standby.execute(f"SELECT MASTER_GTID_WAIT('{reached}', 20)") == [(0,)]

    def promote(self) -> None:
        """Let the standby take writes."""
        self.standby.execute("STOP SLAVE")
        self.standby.execute("SET GLOBAL read_only=0")

    def url(self, *, primary_port: int | None = None) -> str:
        """Return the URL that lists both; the primary may be reached by another port."""
        first = self.primary.tcp_url(DATABASE).replace(
            f":{self.primary.port}/", f":{primary_port or self.primary.port}/"
        )
        return f"{first}&ssl_disabled=true,{self.standby.tcp_url(DATABASE)}&ssl_disabled=true"

    def stop(self) -> None:
        """End both."""
        self.primary.stop()
        self.standby.stop()


@pytest.fixture
def pair() -> Iterator[Pair]:
    servers = Pair()
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def desk(pair: Pair) -> Iterator[Desk]:
    yield from opened(pair.url())


def opened(url: str) -> Iterator[Desk]:
    """A desk whose ledger and reads use the list."""
    engine = open_engine(url, SETTINGS)
    ledger = Ledger(engine, SETTINGS)
    yield Desk(ledger, engine)
    ledger.close()
    engine.dispose()


def settled(desk: Desk, account_id: str, key: str) -> float:
    """Recharge under a key until it is recorded; return how long that took."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < RECOVERY_S_MAX:
        try:
            assert desk.recharge(account_id, 1, key).error is None
            return time.monotonic() - began_s
        except (errors.NothingRecorded, errors.OutcomeUnknown):
            continue
    raise TimeoutError


def events_on(server: PrivateMariaDB) -> int:
    """Return the length of the log on one server, which must prove itself."""
    engine = sa.create_engine(server.url(DATABASE))
    try:
        return prove(engine)
    finally:
        engine.dispose()


def test_the_writable_node_is_used_wherever_it_stands_in_the_list(pair: Pair) -> None:
    standby_first = ",".join(reversed(pair.url().split(",")))
    for desk in opened(standby_first):
        assert desk.recharge(desk.open(), 100).error is None
        assert url_of(desk.engine) == standby_first

    assert events_on(pair.primary) == 2


def test_after_the_primarys_death_the_promoted_standby_goes_on_with_the_log(pair: Pair, desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    first = desk.recharge(account_id, 1, "before")
    pair.wait_until_followed()

    pair.primary.kill()
    with pytest.raises(errors.NothingRecorded):
        desk.recharge(account_id, 1, "nobody takes it")
    pair.promote()

    assert settled(desk, account_id, "after") < RECOVERY_S_MAX
    assert desk.recharge(account_id, 1, "before").position == first.position
    assert (
        read(desk.engine, lambda connection: connection.execute(sa.text("SELECT COUNT(*) FROM events")).scalar()) == 4
    )
    assert events_on(pair.standby) == 4


def test_a_demoted_primary_is_left_without_a_restart(pair: Pair, desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)

    pair.primary.execute("SET GLOBAL read_only=1")
    pair.wait_until_followed()
    pair.promote()

    # These connections are root's, which a read-only server does not stop: they must be left all the same.
    time.sleep(3)
    settled(desk, account_id, "after")
    assert events_on(pair.primary) == 2
    assert events_on(pair.standby) == 3


def test_a_primary_that_hangs_is_left_and_its_commands_go_on_elsewhere(pair: Pair, desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    pair.wait_until_followed()

    pair.primary.pause()
    pair.promote()

    try:
        # Within the one command's own deadline, not the client's next try: nobody waits for the frozen answer.
        assert desk.recharge(account_id, 1).error is None
        assert events_on(pair.standby) == 3
    finally:
        pair.primary.kill()


def test_two_primaries_are_written_to_by_nobody(pair: Pair, desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    pair.wait_until_followed()

    pair.promote()
    time.sleep(3)
    with pytest.raises(errors.NothingRecorded):
        desk.recharge(account_id, 1)
    assert events_on(pair.primary) == events_on(pair.standby) == 2

    pair.standby.execute("SET GLOBAL read_only=1")
    settled(desk, account_id, "one again")


def test_a_commit_whose_answer_was_lost_is_found_on_the_other_node(pair: Pair) -> None:
    with proxied(("127.0.0.1", pair.primary.port)) as proxy:
        for desk in opened(pair.url(primary_port=proxy.port)):
            account_id = desk.open(recharged_minor=100)
            lose_the_primary_with_the_next_commit(proxy)

            promoted = promoting_when_followed(pair, proxy)
            outcome = desk.recharge(account_id, 1, "once")
            promoted()

            assert outcome.error is None
            assert outcome.replayed
            assert events_on(pair.standby) == 3


def lose_the_primary_with_the_next_commit(proxy: Proxy) -> None:
    """Lose the answer to the next commit, and every connection after it."""

    def lose(chunk: bytes) -> bool:
        if b";COMMIT" in chunk:
            proxy.refusing = True
            return True
        return False

    proxy.lose_answer_when = lose


def promoting_when_followed(pair: Pair, proxy: Proxy) -> Any:
    """Promote the standby as soon as the commit is lost and replicated; return what waits for that."""

    def promote() -> None:
        ends_at_s = time.monotonic() + RECOVERY_S_MAX
        while not proxy.lost_answers and time.monotonic() < ends_at_s:
            time.sleep(0.01)
        proxy.cut()
        pair.wait_until_followed()
        pair.promote()

    thread = threading.Thread(target=promote)
    thread.start()
    return thread.join


def test_lists_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadSetting):
        node_urls(f"sqlite:///{tmp_path}/a,sqlite:///{tmp_path}/b")
    with pytest.raises(errors.BadSetting):
        node_urls(",".join(["mysql+pymysql://u@h/d"] * 10))

    one, two = node_urls("mysql+pymysql://u:a,b@h/d, mysql+pymysql://u:a,b@i:3307/d")

    assert (one.password, two.password, two.port) == ("a,b", "a,b", 3307)


def test_the_doctor_tells_how_each_node_is(pair: Pair) -> None:
    cluster = opened_cluster(pair.url(), SETTINGS)
    assert cluster is not None

    def found(*parts: str) -> list[tuple[str, str]]:
        ends_at_s = time.monotonic() + RECOVERY_S_MAX
        while True:
            findings = [(each["state"], each["finding"]) for each in findings_of_nodes(cluster)]
            if all(any(part in text for _, text in findings) for part in parts) or time.monotonic() > ends_at_s:
                return findings
            time.sleep(0.1)

    primary, standby = (f"127.0.0.1:{each.port}" for each in (pair.primary, pair.standby))
    assert found() == [
        (GOOD, f"{primary} can be written to"),
        (GOOD, f"{standby} stands by: it is read-only"),
    ]

    pair.promote()
    assert found("no cluster") == [
        (BAD, "several take writes and are no cluster; nothing is written to any"),
        (GOOD, f"{primary} can be written to"),
        (GOOD, f"{standby} can be written to"),
    ]

    pair.primary.kill()
    assert found("not answer") == [
        (BAD, f"{primary} does not answer"),
        (GOOD, f"{standby} can be written to"),
    ]
