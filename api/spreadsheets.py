"""Workbooks for spreadsheets. What somebody typed is never taken for a formula."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import IO

from ledger.csv_lines import Row

CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EXACT_DIGITS_MAX = 15
"""Digits that the numbers of a spreadsheet keep."""


def xlsx(columns: Sequence[str], rows: Iterable[Row], *, numbers: Mapping[str, str], times: Sequence[str]) -> bytes:
    """Return a workbook; its rows wait on disk until it is complete.

    `numbers` are columns of decimal texts or integers, with their formats; what is too long to be exact as a number
    stays text. `times` are columns of RFC 3339 times in UTC.
    """
    file = io.BytesIO()
    _write(file, columns, rows, numbers, times)
    return file.getvalue()


def _write(
    file: IO[bytes],
    columns: Sequence[str],
    rows: Iterable[Row],
    numbers: Mapping[str, str],
    times: Sequence[str],
) -> None:
    # Few processes ever write a workbook, and it takes long to import.
    import xlsxwriter

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        formats = {name: book.add_format({"num_format": text}) for name, text in numbers.items()}
        for at, name in enumerate(columns):
            sheet.write_string(0, at, f"{name} (UTC)" if name in times else name, bold)
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(rows, 1):
            for at, name in enumerate(columns):
                value = row.get(name)
                if value is None or value == "":
                    continue
                if name in times:
                    sheet.write_datetime(number, at, _naive(value), moment)
                elif name in numbers and len(str(value).strip("-").replace(".", "")) <= EXACT_DIGITS_MAX:
                    # A spreadsheet has no other numbers than these; so few digits they keep.
                    sheet.write_number(number, at, float(value), formats[name])
                else:
                    sheet.write_string(number, at, str(value))
        sheet.autofilter(0, 0, max(1, sheet.dim_rowmax or 0), len(columns) - 1)


def _naive(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)
