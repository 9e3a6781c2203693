"""Verify the whole log: every event by itself and after those before it, and the tables beside the log."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import sqlalchemy as sa

from ledger.audit.findings import CANNOT_TELL, CLEAN, TAMPERED, CannotTell, Finding, Found, Report
from ledger.audit.range_books import RangeResult
from ledger.audit.since import Prefix
from ledger.audit.stitching import Stitched
from ledger.audit.workers import ScanProcess, scan_here, scan_processes
from ledger.audit.write_side import Ends, WriteSide, ends, placed_again, snapshot
from ledger.database import DatabaseError, open_reading_engine
from ledger.proofs.checking import Kept, SignedFor
from ledger.proofs.notes import VerifierKey
from ledger.replicas.sources import Source, source
from ledger.settings import LedgerSettings

EVENTS_PER_PROCESS_MIN = 20_000
"""A range shorter than this is not worth a process."""
CHECKED = (
    "leaf hashes",
    "positions",
    "account versions",
    "recorded times",
    "postings",
    "balances",
    "credit limits",
    "order transitions",
    "holds",
    "accounts, orders, reversals and outcomes equal to the log",
    "details equal to their hashes",
)

Progress = Callable[[int, int], None]
"""Told how many events of how many are checked."""
ScanAlone = Callable[[int, int, Callable[[int], None]], RangeResult]
"""Scans from a position to a position, telling how many events are done."""


def verify(
    settings: LedgerSettings,
    *,
    processes: int | None = None,
    events_per_process_min: int = EVENTS_PER_PROCESS_MIN,
    mysqlclient: bool | None = None,
    keys: Sequence[VerifierKey] = (),
    kept: Sequence[Kept] = (),
    since: Kept | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Verify the log with so many processes (default: one for each processor) and say what was found.

    `mysqlclient`: whether to read with it; None: when it is installed. `keys`: whose signatures the checkpoints must have;
    `kept`: checkpoints from outside the database, which the log must go on from. `since`: one whose events were verified
    before; only what came after them is now.
    Never raises for what a database may be like: whatever keeps the audit from seeing the whole log is reported as
    "cannot tell".
    """
    began = time.monotonic()
    place = source(settings)
    url = place.url
    events = 0
    signed_for = SignedFor(kept if since is None else [*kept, since], keys)
    try:
        count = processes or os.cpu_count() or 1
        with scan_processes(count, url, settings, mysqlclient=mysqlclient) as workers:
            engine = open_reading_engine(url, settings)
            try:
                with snapshot(engine) as connection:
                    events, finding = _verified(
                        connection,
                        signed_for,
                        workers,
                        lambda *extent: scan_here(url, settings, *extent, mysqlclient=mysqlclient),
                        events_per_process_min,
                        progress,
                        since,
                        is_replica=place.is_replica,
                    )
                    if finding is not None:
                        finding = _first(connection, finding)
            finally:
                engine.dispose()
    except CannotTell as reason:
        return _report(CANNOT_TELL, events, None, str(reason), began, place)
    except (sa.exc.SQLAlchemyError, *DatabaseError, OSError) as error:
        return _report(CANNOT_TELL, events, None, f"the log cannot be read: {_first_line(error)}", began, place)
    except Exception as error:  # noqa: BLE001 - What a database may hold that nobody thought of is no verdict either.
        problem = f"the audit failed: {type(error).__name__}: {_first_line(error)}"
        return _report(CANNOT_TELL, events, None, problem, began, place)
    checked = (*CHECKED, *signed_for.checked)
    if finding is not None:
        return _report(TAMPERED, events, finding.position, finding.words, began, place, checked)
    return _report(CLEAN, events, None, None, began, place, checked)


def _verified(
    connection: sa.Connection,
    signed_for: SignedFor,
    workers: Sequence[ScanProcess],
    scan_alone: ScanAlone,
    events_min: int,
    progress: Progress,
    since: Kept | None,
    *,
    is_replica: bool,
) -> tuple[int, Finding | None]:
    where = ends(connection)
    signed_for.read(connection, lambda: None)
    shortened = None if where.head is None else signed_for.too_long_for(where.head)
    if shortened is not None and is_replica:
        raise CannotTell(problem=f"{shortened.words}, or the replica is behind: ask again, or verify the log itself")
    if shortened is not None and where.head == 0:
        return 0, shortened
    signed_for.ensure_signed()
    finding = _wrong_ends(where)
    if where.head is None or where.head == 0:
        return 0, finding
    if shortened is not None and since is not None:
        return 0, shortened
    head = where.head
    prefix = None if since is None or since.checkpoint.size == 0 else Prefix(connection, since)
    if prefix is not None and (wrong := prefix.wrong()) is not None:
        return 0, wrong
    after = 0 if prefix is None else prefix.size
    ranges = _ranges(after, head, max(1, min(len(workers), (head - after) // events_min)))
    busy = workers[: len(ranges)] if len(ranges) > 1 else ()
    for worker, (first, last) in zip(busy, ranges, strict=False):
        worker.begin(first, last)

    def tick() -> None:
        progress(sum(worker.events for worker in busy), head - after)

    # The tables are read while the processes scan.
    write_side = WriteSide(connection, head, after=after)
    unreadable = write_side.read(tick)
    results: Iterable[RangeResult] = _results(busy, ranges, scan_alone, progress, tick)
    fold = Stitched()
    if prefix is not None:
        results = list(results)
        try:
            fold = prefix.fold(results)
        except Found as before:
            return 0, before.finding
    for result in results:
        wrong = fold.join(result)
        if wrong is not None:
            return fold.events, wrong
    if fold.events != head - after:
        raise CannotTell(problem=f"{fold.events} of {head - after} events were seen")
    found = (
        finding,
        unreadable,
        # Of the orders that nothing happened to since, nothing is known.
        fold.unheld() if prefix is None else None,
        write_side.compare(fold),
        signed_for.wrong(connection, head, fold.blocks.roots),
    )
    return head - after, min((each for each in found if each is not None), key=lambda each: each.position, default=None)


def _first(connection: sa.Connection, finding: Finding) -> Finding:
    """Return the finding, or what is wrong before it. It stays a finding when nobody can look there."""
    try:
        return placed_again(connection, finding.position) or finding
    except (sa.exc.SQLAlchemyError, *DatabaseError, OSError):
        return finding


def _results(
    busy: Sequence[ScanProcess],
    ranges: Sequence[tuple[int, int]],
    scan_alone: ScanAlone,
    progress: Progress,
    tick: Callable[[], None],
) -> Iterator[RangeResult]:
    """Yield what the ranges came to, in order; without processes the one range is scanned here."""
    if not busy:
        done = 0

        def count(events: int) -> None:
            nonlocal done
            done += events
            progress(done, last - first + 1)

        ((first, last),) = ranges
        yield scan_alone(first, last, count)
    for worker in busy:
        while not worker.is_ready():
            tick()
        yield worker.answer()


def _wrong_ends(where: Ends) -> Finding | None:
    if where.head is None:
        if where.highest is None:
            raise CannotTell(problem="there is no log: neither its head row nor an event")
        return Finding(max(1, where.highest + 1), "the log's head row is missing")
    if where.lowest is not None and where.lowest < 1:
        return Finding(1, f"there is an event at position {where.lowest}")
    if where.highest is not None and where.highest > where.head:
        return Finding(
            where.head + 1, f"the log's head row says {where.head}, and there is an event at {where.highest}"
        )
    if where.head < 0:
        return Finding(1, f"the log's head row says {where.head}")
    if where.head == 0:
        raise CannotTell(problem="the log holds no event")
    return None


def _ranges(after: int, head: int, count: int) -> list[tuple[int, int]]:
    bounds = [after + (head - after) * each // count for each in range(count + 1)]
    return [(low + 1, high) for low, high in itertools.pairwise(bounds)]


def _report(
    status: str,
    events: int,
    position: int | None,
    finding: str | None,
    began: float,
    place: Source,
    checked: Sequence[str] = CHECKED,
) -> Report:
    seconds = round(time.monotonic() - began, 3)
    return Report(
        status=status,
        events=events,
        first_bad_position=position,
        finding=finding,
        checked=checked,
        seconds=seconds,
        server=place.name,
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
