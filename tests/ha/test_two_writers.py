"""Two ledgers that write at different nodes of Galera at the same time: what may happen for moments in a failover."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from ha.galera import Galera, galera_cluster
from ha.scores import Scores
from ledger import errors
from ledger.append import Ledger
from ledger.commands import Recharge
from ledger.database import open_engine
from ledger.ids import new_id
from ledger.migrate import upgrade
from ledger.settings import LedgerSettings
from submissions import Desk, prove, submission

CALLERS, LOAD_S = 6, 15.0
REFERENCE_LENGTH = 100
SETTINGS = LedgerSettings()


@pytest.fixture(scope="module")
def galera() -> Iterator[Galera]:
    with galera_cluster(2) as cluster:
        yield cluster


def desks(galera: Galera, database: str) -> Iterator[list[Desk]]:
    """One desk at each node."""
    opened = []
    for first in range(2):
        engine = open_engine(galera.urls(database, first=first), SETTINGS)
        opened.append(Desk(Ledger(engine, SETTINGS), engine))
    yield opened
    for desk in opened:
        desk.ledger.close()
        desk.engine.dispose()


def call(desk: Desk, account_id: str, until_s: float, told: list[tuple[str, int]], refused: list[str]) -> None:
    """Recharge, and deduct too much, repeating until each is settled."""
    number = 0
    while time.monotonic() < until_s:
        number += 1
        key = new_id("k")
        while True:
            try:
                too_much = number % 4 == 0
                outcome = desk.deduct(account_id, 10**9, key) if too_much else desk.recharge(account_id, 1, key)
                break
            except (errors.NothingRecorded, errors.OutcomeUnknown):
                continue
        if outcome.error is None:
            told.append((key, outcome.position))
        else:
            refused.append(key)


@pytest.mark.parametrize("together", [True, False])
def test_nothing_is_lost_or_doubled_when_two_nodes_are_written_to(
    galera: Galera, together: bool, scores: Scores
) -> None:
    database = f"writers_{together}".lower()
    galera.nodes[0].create_database(database)
    upgrade(galera.nodes[0].tcp_url(database))
    for both in desks(galera, database):
        used = [both[0], both[0]] if together else both
        account_id = both[0].open()
        told: list[list[tuple[str, int]]] = [[] for _ in range(2 * CALLERS)]
        refused: list[str] = []
        until_s = time.monotonic() + LOAD_S
        threads = [
            threading.Thread(target=call, args=(used[each % 2], account_id, until_s, told[each], refused))
            for each in range(2 * CALLERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        engine = sa.create_engine(galera.nodes[1].tcp_url(database))
        with engine.connect() as connection:
            connection.exec_driver_sql("SET SESSION wsrep_sync_wait=7")
            rows = connection.exec_driver_sql("SELECT idempotency_key, position FROM events").all()
        prove(engine)
        engine.dispose()
    kept = {bytes(key).decode(): position for key, position in rows}
    answered = [each for share in told for each in share]
    lost = [each for each in answered if kept.get(each[0]) != each[1]]
    doubled = len(rows) - len(kept)
    scores.add(
        f"Galera: two ledgers writing at {'one node' if together else 'different nodes'}",
        acknowledged=len(answered),
        lost=len(lost),
        doubled=doubled,
        note=f"{len(answered) / LOAD_S:.0f} commands/s",
    )
    assert not lost
    assert not doubled
    assert not [key for key in refused if key in kept]


def test_a_decision_at_one_node_knows_what_was_recorded_at_the_other(galera: Galera, scores: Scores) -> None:
    """The other node applies nothing for a while: without waiting for it, the deduction would be refused for ever."""
    database = "stale"
    galera.nodes[0].create_database(database)
    upgrade(galera.nodes[0].tcp_url(database))
    for one, other in desks(galera, database):
        account_id = one.open()
        assert other.recharge(account_id, 1).error is None
        held = galera.nodes[1]._connect(database)
        held.cursor().execute("FLUSH TABLES WITH READ LOCK")
        release = threading.Timer(1.5, held.close)
        release.start()

        assert one.recharge(account_id, 100).error is None
        began_s = time.monotonic()
        assert other.deduct(account_id, 101).error is None

        scores.add(
            "Galera: a node that applies late", acknowledged=4, lost=0, doubled=0, recovery_s=time.monotonic() - began_s
        )
        release.join()


def test_a_group_of_several_packets_is_committed_once(galera: Galera) -> None:
    """8,000 commands are more than a packet of statements; at a Galera node each statement goes alone."""
    database = "packets"
    galera.nodes[0].create_database(database)
    upgrade(galera.nodes[0].tcp_url(database))
    for desk, _ in desks(galera, database):
        account_id = desk.open()
        command = Recharge(account_id=account_id, amount_minor=1, currency="CNY", reference="x" * REFERENCE_LENGTH)

        outcomes = desk.ledger.append_batch([submission(command) for _ in range(8_000)], atomic=True)

        assert [outcome.error for outcome in outcomes] == [None] * 8_000
        assert desk.ledger.statistics.retries == 0
        assert prove(desk.engine) == 8_001
