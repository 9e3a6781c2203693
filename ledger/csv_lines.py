"""CSV for spreadsheets and programs. What somebody typed is never taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel takes UTF-8 for something else."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Row = Mapping[str, Any]


def csv_lines(
    columns: Sequence[str], rows: Iterable[Row], *, typed: Sequence[str], byte_order_mark: bool = True
) -> Iterator[str]:
    """Yield the lines; `typed` are columns of what somebody typed. A program reads best without a byte order mark."""
    text = io.StringIO()
    write = csv.writer(text).writerow
    cells = [(name, name in typed) for name in columns]
    write(columns)
    yield (BYTE_ORDER_MARK if byte_order_mark else "") + _taken(text)
    for row in rows:
        write([_cell(row.get(name), is_typed=is_typed) for name, is_typed in cells])
        yield _taken(text)


def _taken(text: io.StringIO) -> str:
    line = text.getvalue()
    text.seek(0)
    text.truncate()
    return line


def _cell(value: Any, *, is_typed: bool) -> str:
    shown = "" if value is None else str(value)
    return f"'{shown}" if is_typed and shown.startswith(_FORMULA_STARTS) else shown
