"""Export a range of the log: page by page, in memory that does not grow with the number of events."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from ledger.clock import now_us, rfc3339
from ledger.exporting.beancount import Beancount
from ledger.exporting.csv_table import Csv
from ledger.exporting.files import part_of, whole_file
from ledger.exporting.jsonl import FORMAT, Interrupted, JsonLines
from ledger.exporting.parquet import Parquet
from ledger.exporting.source import Source, opened
from ledger.exporting.totals import Totals
from ledger.exporting.writing import ExportRefused, Extent, MakeWriter, Writer
from ledger.settings import LedgerSettings

JSONL, PARQUET = "jsonl", "parquet"
FORMATS: dict[str, MakeWriter] = {JSONL: JsonLines, "csv": Csv, PARQUET: Parquet, "beancount": Beancount}

Progress = Callable[[int, int], None]
"""Told how many events of how many are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a range begins or ends: a position, or a time in microseconds; what was recorded just then is in it."""

    position: int | None = None
    time_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    first: int
    last: int
    head: int
    events: int
    root: str


def export(
    settings: LedgerSettings,
    out: BinaryIO,
    *,
    format: str,
    first: Place | None = None,
    last: Place | None = None,
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write a range of the log, by default all of it. Raises CannotTell, ExportRefused."""
    with opened(settings, **_needs(first, last)) as source:
        return export_extent(source, out, format, _extent(source, first, last), progress)


def export_to_file(
    settings: LedgerSettings,
    path: Path,
    *,
    format: str,
    first: Place | None = None,
    last: Place | None = None,
    resume: bool = False,
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write a range into a new file, which is there only once it is whole. Raises CannotTell, ExportRefused.

    `resume`: go on with the part that an interrupted export left; its range is the one it was begun with.
    """
    if resume and format != JSONL:
        raise ExportRefused(
            problem=f"{format} cannot go on where it stopped, only {JSONL} can; leave out --resume, or export what follows "
            "with --from"
        )
    with opened(settings, **_needs(first, last)) as source:
        if resume:
            wanted = _wanted(source, first, last)
            with whole_file(path, resumable=True, resume=True) as file:
                return _resumed(source, file, path, wanted, progress)
        extent = _extent(source, first, last)
        with whole_file(path, resumable=format == JSONL, resume=False) as file:
            return export_extent(source, file, format, extent, progress)


class ExportStream:
    """An export piece by piece, for whoever takes it as it comes. Raises CannotTell, ExportRefused.

    `position`: what the log that is read must have. `close` lets go of the log, also before the end; until then a
    connection is in use.
    """

    def __init__(
        self, settings: LedgerSettings, *, format: str, first: Place | None, last: Place | None, position: int = 0
    ) -> None:
        with ExitStack() as stack:
            source = stack.enter_context(opened(settings, **_needs(first, last, position)))
            self.extent = _extent(source, first, last)
            self._pieces = self._run(source, format)
            self._open = stack.pop_all()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Let go of the log."""
        self._pieces.close()
        self._open.close()

    def _run(self, source: Source, format: str) -> Generator[bytes, None, None]:
        out = BytesIO()

        def taken() -> bytes:
            piece = out.getvalue()
            out.seek(0)
            out.truncate()
            return piece

        totals = Totals(source.tree_to(self.extent.first - 1))
        with closing(FORMATS[format](out, source)) as writer:
            writer.begin(self.extent)
            yield taken()
            for _ in _steps(source, writer, self.extent, totals):
                yield taken()


def export_extent(source: Source, out: BinaryIO, format: str, extent: Extent, progress: Progress) -> Exported:
    """Write a range of an opened log. Raises CannotTell, ExportRefused."""
    totals = Totals(source.tree_to(extent.first - 1))
    with closing(FORMATS[format](out, source)) as writer:
        writer.begin(extent)
        return _written(source, writer, extent, totals, progress)


def _written(source: Source, writer: Writer, extent: Extent, totals: Totals, progress: Progress) -> Exported:
    total = extent.last - extent.first + 1
    progress(totals.events, total)
    for done in _steps(source, writer, extent, totals):
        progress(done, total)
    return Exported(
        first=extent.first,
        last=extent.last,
        head=extent.head,
        events=totals.events,
        root=totals.tree.root().hex(),
    )


def _steps(source: Source, writer: Writer, extent: Extent, totals: Totals) -> Iterator[int]:
    """Write page by page what is still to be written, and yield how many events are; at last the end."""
    for page in source.pages(totals.position + 1, extent.last):
        totals.take(page)
        writer.take(page)
        yield totals.events
    totals.ensure_position(extent.last)
    writer.end(totals)
    yield totals.events


def _resumed(
    source: Source, file: BinaryIO, path: Path, wanted: tuple[int | None, int | None], progress: Progress
) -> Exported:
    part = Interrupted(file)
    header = part.header
    if header.format != FORMAT:
        raise ExportRefused(problem=f"{part_of(path)} is of another release's format; remove it and begin anew")
    for found, asked, option in ((header.first, wanted[0], "--from"), (header.last, wanted[1], "--to")):
        if asked is not None and asked != found:
            raise ExportRefused(problem=f"{part_of(path)} was begun with {option} {found}, not {asked}; leave it out")
    source.reach(header.head)
    if header.head > source.head:
        raise ExportRefused(
            problem=f"{part_of(path)} is of a log with {header.head} events, this one has {source.head}"
        )
    totals = Totals(source.tree_to(header.first - 1))
    part.fold(totals)
    if part.last_leaf is not None and source.event(totals.position).leaf_hash != part.last_leaf:
        raise ExportRefused(problem=f"{part_of(path)} is of another log; remove it and begin anew")
    file.truncate(part.end)
    file.seek(part.end)
    writer = JsonLines(file, source)
    extent = Extent(first=header.first, last=header.last, head=header.head, created_at=header.created_at)
    writer.go_on(extent, part.checkpoints)
    return _written(source, writer, extent, totals, progress)


def _extent(source: Source, first: Place | None, last: Place | None) -> Extent:
    start, end = _wanted(source, first, last)
    start, end = 1 if start is None else start, source.head if end is None else end
    if source.head == 0:
        raise ExportRefused(problem="the log has no events yet")
    if max(start, end) > source.head:
        raise ExportRefused(problem=f"the log ends at position {source.head}")
    if not 1 <= start <= end:
        raise ExportRefused(problem=f"no event lies from position {start} to {end}")
    return Extent(first=start, last=end, head=source.head, created_at=rfc3339(now_us()))


def _needs(first: Place | None, last: Place | None, position: int = 0) -> dict[str, int]:
    """Return what a server must have for a range: a replica that lags must not cut it off."""
    places = [each for each in (first, last) if each is not None]
    return {
        "position": max([position, *(each.position or 0 for each in places)]),
        "until_us": max([-1, *(each.time_us for each in places if each.time_us is not None)]),
    }


def _wanted(source: Source, first: Place | None, last: Place | None) -> tuple[int | None, int | None]:
    start = None if first is None else first.position
    end = None if last is None else last.position
    if first is not None and first.time_us is not None:
        start = source.position_at(first.time_us - 1) + 1
    if last is not None and last.time_us is not None:
        end = source.position_at(last.time_us)
    return start, end
