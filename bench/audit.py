"""Audits and replays of one log: each way goes over it from end to end, or for as long as a sample lasts."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Session

from bench import processor, valid_log
from bench.method import Measured, Method, Observation, Progress, Sample, run_rounds
from bench.sealed_log import seal_every
from bench.server import MeasuredServer, Servers
from ledger import schema
from ledger.audit.connecting import has_mysqlclient
from ledger.audit.findings import CLEAN
from ledger.audit.replaying import replay
from ledger.audit.verification import verify
from ledger.proofs.notes import SigningKey
from ledger.settings import LedgerSettings

WAYS = ("ledger", "ledger, 1 process", "ledger, mysqlclient", "replay", "eventsourcing", "orm")
PEER_EVENTS_MAX = 100_000
"""How long the log of the others is at most: they are measured by the second and need no more."""
ROUNDS_MAX = 3
"""Rounds of a log that takes seconds to go over; one that takes minutes is gone over once."""
LONG, LONGEST, QUICK_EVENTS_MAX = 1_000_000, 10_000_000, 10_000
MIB_PER_MILLION_EVENTS = 1_536
"""Buffer pool for a log, so that the processors are measured and not the disk."""
ORM_PAGE = 1_000
KEY = SigningKey("bench.test/v1/log", bytes(32))
EVENTS_PER_CHECKPOINT = 1_000
"""As `ORDERLEDGER_SEAL_EVENTS` has it by default; every checkpoint is made anew and its signature checked."""

Pass = Callable[[float], int]
"""Goes over the log, for about so many seconds when it may stop anywhere; returns the number of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCell:
    """A log of `size` events."""

    size: int

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"audit, {self.size:,} events"

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure every way that is installed; every audit must come out clean. Raises AssertionError."""
        measured = Measured(
            name=self.name, unit="events", ways=WAYS, axis="events", size=self.size, missing=_missing(self, method)
        )
        if "ledger" in measured.missing:
            return measured
        if self.size >= LONG:
            rounds_max = 1 if self.size >= LONGEST else ROUNDS_MAX
            method = dataclasses.replace(method, rounds=min(method.rounds, rounds_max))
        server = servers.mariadb
        with _roomy(server, self.size), _log(server, self.size, progress) as url:
            ways = _ways(url)
            with contextlib.ExitStack() as stack:
                if "eventsourcing" not in measured.missing:
                    progress(f"{self.name}: preparing eventsourcing")
                    ways["eventsourcing"] = stack.enter_context(_eventsourcing(server, min(self.size, PEER_EVENTS_MAX)))
                contestants = [
                    Scanning(way, run, self.size, server.pid)
                    for way, run in ways.items()
                    if way not in measured.missing
                ]
                run_rounds(measured, contestants, method, progress)
        measured.samples = [_beside_replay(each, measured.samples) for each in measured.samples]
        return measured


def _beside_replay(sample: Sample, samples: Sequence[Sample]) -> Sample:
    """Add to an audit's figures how many times as fast it was as the plain replay of the same round."""
    rates = [each.seen.per_s for each in samples if each.way == "eventsourcing" and each.round == sample.round]
    if not sample.way.startswith("ledger") or not rates:
        return sample
    seen = dataclasses.replace(sample.seen, more={"times_plain_replay": sample.seen.per_s / rates[0]})
    return dataclasses.replace(sample, seen=seen)


class Scanning:
    """One way of going over the log."""

    def __init__(self, way: str, run: Pass, size: int, server_pid: int) -> None:
        self.way = way
        self._run = run
        self._size = size
        self._server_pid = server_pid

    def make_ready(self, seconds: float) -> None:
        """Nothing."""

    def sample(self, seconds: float) -> Observation:
        """Go over the log."""
        began, python_s, server_s, machine_s = self._clocks()
        events = self._run(seconds)
        ended, python_after_s, server_after_s, machine_after_s = self._clocks()
        python_s, server_s = python_after_s - python_s, server_after_s - server_s
        others_s = machine_after_s - machine_s - python_s - server_s
        return Observation(
            operations=events,
            per_s=events / (ended - began),
            cpu_us={"python": python_s / events * 1_000_000, "mariadbd": server_s / events * 1_000_000},
            others_cores=max(0.0, others_s / (ended - began)),
        )

    def prove(self) -> int:
        """Nothing to add: each audit says that the log is clean, or its sample fails."""
        return self._size

    def _clocks(self) -> tuple[float, float, float, float]:
        # The processes of an audit have ended, and count as children, when it returns.
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        python_s = processor.own_s() + children.ru_utime + children.ru_stime
        return time.monotonic(), python_s, processor.process_s(self._server_pid), processor.machine_s()


def _ways(url: str) -> dict[str, Pass]:
    settings = LedgerSettings(database_url=url)

    def audit(_: float, *, processes: int, mysqlclient: bool) -> int:
        report = verify(
            settings, processes=processes, events_per_process_min=1, mysqlclient=mysqlclient, keys=[KEY.verifier]
        )
        assert report.status == CLEAN, report
        return report.events

    return {
        "ledger": partial(audit, processes=2, mysqlclient=False),
        "ledger, 1 process": partial(audit, processes=1, mysqlclient=False),
        "ledger, mysqlclient": partial(audit, processes=2, mysqlclient=True),
        "replay": lambda _: replay(settings).position,
        "orm": partial(_orm_scan, url),
    }


def _missing(cell: AuditCell, method: Method) -> dict[str, str]:
    if method.quick and cell.size > QUICK_EVENTS_MAX:
        return dict.fromkeys(WAYS, "left out of a quick run")
    missing = {}
    if not has_mysqlclient():
        missing["ledger, mysqlclient"] = "not installed"
    if importlib.util.find_spec("eventsourcing") is None:
        missing["eventsourcing"] = "not installed"
    return missing


class _Base(DeclarativeBase):
    metadata = schema.metadata


class _Event(_Base):
    __table__ = schema.events


def _orm_scan(url: str, seconds: float) -> int:
    """Load events as mapped objects, page by page, and sum what they did to each account: no more than that."""
    engine = sa.create_engine(url, isolation_level="READ COMMITTED")
    until, position, events, end = time.monotonic() + seconds, 0, 0, False
    balances: dict[str, int] = {}
    try:
        while time.monotonic() < until and not end:
            with Session(engine) as session:
                query = sa.select(_Event).where(schema.events.c.position > position)
                page: Any = session.scalars(query.order_by(schema.events.c.position).limit(ORM_PAGE)).all()
                for each in page:
                    balances[each.account_id] = each.available_minor + each.held_minor
                end = not page
                position = page[-1].position if page else position
                events += len(page)
    finally:
        engine.dispose()
    return events


@contextlib.contextmanager
def _eventsourcing(server: MeasuredServer, events: int) -> Iterator[Pass]:
    from bench.baselines.eventsourcing_way import EventsourcingReplay

    name, url = server.fresh_database()
    peer = EventsourcingReplay(url)
    peer.fill(events)

    def run(seconds: float) -> int:
        until, last, seen, accounts = time.monotonic() + seconds, 0, 0, {}
        while time.monotonic() < until:
            before, last = last, peer.replay(last, accounts)
            # At its end the log is replayed again, from nothing.
            seen, accounts = (seen + last - before, accounts) if last else (seen, {})
        return seen

    yield run
    peer.close()
    server.drop_database(name)


@contextlib.contextmanager
def _log(server: MeasuredServer, size: int, progress: Progress) -> Iterator[str]:
    name, url = server.fresh_database()
    valid_log.fill(url, size, lambda done: progress(f"filling: {done:,} of {size:,} events"))
    progress("sealing")
    seal_every(url, KEY, EVENTS_PER_CHECKPOINT)
    yield url
    server.drop_database(name)


@contextlib.contextmanager
def _roomy(server: MeasuredServer, size: int) -> Iterator[None]:
    usual = int(server.query("SELECT @@innodb_buffer_pool_size")[0][0])
    wanted = size * MIB_PER_MILLION_EVENTS // 1_000_000 * 1024 * 1024
    if wanted > usual:
        server.query(f"SET GLOBAL innodb_buffer_pool_size={wanted}")
    yield
    if wanted > usual:
        server.query(f"SET GLOBAL innodb_buffer_pool_size={usual}")
