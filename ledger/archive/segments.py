"""A segment: a file of an archive, with the events of a range and what it takes to verify them alone. Needs pyarrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ledger.audit.findings import CannotTell
from ledger.audit.reading import PAGE_EVENTS, Row
from ledger.exporting.parquet import FORMAT, OPTIONAL, parquet_schema
from ledger.exporting.writing import ExportRefused

_NAME = re.compile(r"events-([0-9]{15})-([0-9]{15})\.parquet")
_PREFIX = b"orderledger."
_NUMBERS = ("position", "version", "schema_version", "recorded_at", "available_minor", "held_minor")
_HEXADECIMAL = ("event_id", "idempotency_key", "details_hash", "leaf_hash")
_NULLABLE_TEXTS = ("order_id", "causation_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a file says of itself.

    `before`: roots of the whole subtrees of the events before it, the largest first; `root`: of all events up to its last;
    `note`: the first signed checkpoint that covers it; `after`: roots of the whole subtrees from its end to the
    checkpoint's size.
    """

    path: Path
    first: int
    last: int
    before: Sequence[bytes]
    root: bytes
    after: Sequence[bytes]
    note: str


def name_of(first: int, last: int) -> str:
    """Return the file name of a segment: names sort as positions do."""
    return f"events-{first:015d}-{last:015d}.parquet"


def range_of(path: Path) -> tuple[int, int] | None:
    """Return the positions that a file's name says, None when it is not a segment's."""
    found = _NAME.fullmatch(path.name)
    return None if found is None else (int(found[1]), int(found[2]))


def segments_of(paths: Iterable[Path]) -> list[Segment]:
    """Return the segments in files and folders, in the order of their positions.

    Raises CannotTell for a file that is not one, or when two of them overlap.
    """
    files = [each for path in paths for each in (_files_in(path) if path.is_dir() else [path])]
    found = sorted(map(read_segment, files), key=lambda segment: segment.first)
    for one, next_one in pairwise(found):
        if next_one.first <= one.last:
            raise CannotTell(problem=f"{one.path} and {next_one.path} hold the same positions: name one of them")
    return found


def ranges_of(segments: Iterable[Segment]) -> list[tuple[int, int]]:
    """Return which positions segments hold that are in order, in the fewest ranges."""
    ranges: list[tuple[int, int]] = []
    for each in segments:
        if ranges and each.first == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], each.last)
        else:
            ranges.append((each.first, each.last))
    return ranges


def read_segment(path: Path) -> Segment:
    """Read what a file says of itself. Raises CannotTell."""
    metadata = _opened(path).metadata.metadata

    def said(name: str) -> str:
        try:
            return str(metadata[_PREFIX + name.encode()].decode())
        except (KeyError, UnicodeDecodeError):
            words = "it was made before the log was sealed that far" if name in ("checkpoint", "after") else "damaged"
            raise CannotTell(problem=f"{path} has no {name} with it: {words}") from None

    if said("format") != FORMAT:
        raise CannotTell(problem=f"{path} is of another release's format")
    try:
        return Segment(
            path=path,
            first=int(said("from")),
            last=int(said("to")),
            before=list(map(bytes.fromhex, said("before").split())),
            root=bytes.fromhex(said("root")),
            after=list(map(bytes.fromhex, said("after").split())),
            note=said("checkpoint"),
        )
    except ValueError:
        raise CannotTell(problem=f"{path} is damaged: get another copy of it") from None


def rows_of(segment: Segment) -> Iterator[Sequence[Row]]:
    """Yield the events of a segment, page by page, in the form that ledger.audit.reading has rows in. Raises CannotTell."""
    import pyarrow

    file = _opened(segment.path)
    # Names and types only: what is optional gets lost when somebody rewrites a file.
    expected = [(field.name, field.type) for field in parquet_schema(pyarrow)]
    try:
        if [(field.name, field.type) for field in file.schema_arrow] != expected:
            raise ValueError("other columns")
        for batch in file.iter_batches(batch_size=PAGE_EVENTS):
            columns = [
                _column(pyarrow, name, values) for name, values in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield list(zip(*columns, strict=True))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CannotTell(
            problem=f"{segment.path} is damaged ({type(error).__name__}): get another copy of it"
        ) from None


def _column(pyarrow: Any, name: str, values: Any) -> list[bytes | None]:
    if name in _NUMBERS:
        values = values.cast(pyarrow.int64()).cast(pyarrow.string())
    found: list[bytes | None] = values.cast(pyarrow.binary()).to_pylist()
    if name not in OPTIONAL and None in found:
        raise ValueError("a value is missing")
    if name in _HEXADECIMAL:
        return [None if each is None else each.hex().encode() for each in found]
    if name in _NULLABLE_TEXTS:
        # As rows have it: a stored text that is empty is not a missing one.
        return [b"\0" if each == b"" else each for each in found]
    return found


def _files_in(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if range_of(path) is not None]
    if not files:
        raise CannotTell(problem=f"{folder} holds no segment of an archive")
    return files


def _opened(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportRefused(
            problem="archives need pyarrow: pip install 'orderledger[parquet]' into the same environment"
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        if file.metadata.metadata is None:
            raise CannotTell(problem=f"{path} is no segment of an archive")
        return file
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise CannotTell(problem=f"{path} cannot be read ({type(error).__name__}): get another copy of it") from None
