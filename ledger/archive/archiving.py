"""Archive what is sealed: a segment for each so many events, and none that is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from ledger.archive.segments import name_of, range_of, read_segment
from ledger.clock import now_us, rfc3339
from ledger.exporting.export import PARQUET, Progress, export_extent
from ledger.exporting.files import whole_file
from ledger.exporting.source import Source, opened
from ledger.exporting.writing import ExportRefused, Extent
from ledger.settings import LedgerSettings

SEGMENT_EVENTS = 1 << 20
"""Of one file, unless said otherwise; some hundred megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """Which files were written, up to which position the archive reaches, and up to which the log is sealed."""

    written: Sequence[Path]
    last: int
    sealed: int


def archive(
    settings: LedgerSettings,
    folder: Path,
    *,
    segment_events: int = SEGMENT_EVENTS,
    progress: Progress = lambda done, total: None,
) -> Archived:
    """Write the segments that are sealed as a whole and not in the folder yet.

    Each is there only once it is whole and on disk, so an interrupted run is simply run again. Raises CannotTell,
    ExportRefused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = _archived_to(folder, segment_events)
    # A replica that has less than the archive would be taken for another log.
    with opened(settings, position=last) as source:
        _ensure_same_log(source, folder, last)
        sealed = source.sealed_size
        total = max(0, (sealed - last) // segment_events) * segment_events
        written: list[Path] = []
        progress(0, total)
        while last + segment_events <= sealed:
            extent = Extent(first=last + 1, last=last + segment_events, head=source.head, created_at=rfc3339(now_us()))
            path = folder / name_of(extent.first, extent.last)
            before = len(written) * segment_events
            with whole_file(path, resumable=False, resume=False) as file:
                export_extent(source, file, PARQUET, extent, partial(_tell, progress, before, total))
            written.append(path)
            last = extent.last
    return Archived(written=written, last=last, sealed=sealed)


def _tell(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _archived_to(folder: Path, segment_events: int) -> int:
    """Return the last position that is in the folder. Raises ExportRefused unless it holds segments of this size from 1 on."""
    ranges = sorted(found for found in map(range_of, folder.iterdir()) if found is not None)
    for first, last in ranges:
        if last - first + 1 != segment_events:
            raise ExportRefused(
                problem=f"{folder} holds segments of {last - first + 1} events: go on with --segment {last - first + 1}"
            )
    expected = [(0, 0), *ranges]
    for (_, before), (first, _) in pairwise(expected):
        if first != before + 1:
            raise ExportRefused(
                problem=f"{folder} lacks the segment from position {before + 1}: put it back, or archive into a new folder"
            )
    return expected[-1][1]


def _ensure_same_log(source: Source, folder: Path, last: int) -> None:
    if not last:
        return
    if last > source.head:
        raise ExportRefused(problem=f"{folder} is of a log with {last} events at least, this one has {source.head}")
    newest = max(path for path in folder.iterdir() if range_of(path) is not None)
    segment = read_segment(newest)
    # Before the first segment every log is the same.
    before, whole = source.tree_to(segment.first - 1), source.tree_to(last)
    if list(segment.before) != before.roots or segment.root != whole.root():
        raise ExportRefused(problem=f"{folder} is of another log: archive this one into a new folder")
