"""Read the events of a range of positions, page by page, in the cheapest form each driver has.

A row is the columns of `events` in their order, all as bytes: integers in decimal, binary columns in hexadecimal, texts
and documents as they are stored. A missing value is None or empty; a stored text that is empty is read as one zero
byte, which is no token. For PyMySQL the server joins the rows of a page into one value: it spends ten
microseconds on the columns of a row, splitting the value costs one. Stored bytes that hold one of the separators are
noticed, because then pieces and rows do not come out even, and the page is read again column by column. mysqlclient and
SQLite hand out columns cheaply.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql

from ledger import schema
from ledger.audit.connecting import connect
from ledger.settings import LedgerSettings

Row = Sequence[Any]
PAGE_EVENTS = 1_000
"""Events of one query."""
PAGE_BYTES_MAX = 64 * 1024 * 1024
"""How long a value the server may join; longer pages are read column by column."""
COLUMNS = tuple(schema.events.columns.keys())
_HEXADECIMAL = frozenset({"event_id", "idempotency_key", "details_hash", "leaf_hash"})
_NULLABLE_TEXTS = frozenset({"order_id", "causation_id"})
_FIELD, _ROW = b"\x1f", b"\x1e"
"""Between the fields of a row, and between the rows of a page."""


class EventReader:
    """A connection that reads events."""

    def __init__(self, url: str, settings: LedgerSettings, *, mysqlclient: bool | None = None) -> None:
        self._connection = connect(url, settings, mysqlclient=mysqlclient)
        self._is_sqlite = isinstance(self._connection, sqlite3.Connection)
        self._joins = isinstance(self._connection, pymysql.Connection)
        self._cursor = self._connection.cursor()
        if self._joins:
            self._cursor.execute(f"SET SESSION group_concat_max_len={PAGE_BYTES_MAX}")

    def pages(self, first: int, last: int) -> Iterator[Sequence[Row]]:
        """Yield the rows with first ≤ position ≤ last, ascending; a page may be empty."""
        for start in range(first, last + 1, PAGE_EVENTS):
            where = f"position BETWEEN {start} AND {min(last, start + PAGE_EVENTS - 1)}"
            yield (self._joined(where) if self._joins else None) or self._columns(where)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _joined(self, where: str) -> Sequence[Row] | None:
        self._cursor.execute(f"SELECT COUNT(*),{_JOINED} FROM events WHERE {where}")
        count, value = self._cursor.fetchone()
        if value is None:
            return None
        rows = [row.split(_FIELD) for row in value.split(_ROW)]
        # A separator within a value can only add pieces: with as many rows as there are, each of as many fields as
        # there are, there was none.
        if len(rows) != int(count) or set(map(len, rows)) != {len(COLUMNS)}:
            return None
        # Sorting them is dearer for the server than for us to see that it followed the index.
        return rows if _ascend([row[0] for row in rows]) else None

    def _columns(self, where: str) -> Sequence[Row]:
        listed = _SQLITE_COLUMNS if self._is_sqlite else _MYSQL_COLUMNS
        self._cursor.execute(f"SELECT {listed} FROM events WHERE {where} ORDER BY position")
        rows: Sequence[Row] = self._cursor.fetchall()
        return rows


def _ascend(positions: list[bytes]) -> bool:
    # Texts of one length are in the order of their numbers.
    if len(set(map(len, positions))) == 1:
        return positions == sorted(positions)
    numbers = list(map(int, positions))
    return numbers == sorted(numbers)


def _expression(column: str, binary: str) -> str:
    if column in _HEXADECIMAL:
        return f"CAST(HEX({column}) AS {binary})"
    if column in _NULLABLE_TEXTS:
        return f"CAST(CASE WHEN {column}='' THEN X'00' ELSE {column} END AS {binary})"
    return f"CAST({column} AS {binary})"


def _joined_expression(column: str) -> str:
    if column in _NULLABLE_TEXTS:
        return f"CASE WHEN {column} IS NULL THEN '' WHEN {column}='' THEN X'00' ELSE {column} END"
    if column == "details_hash":
        return "IFNULL(HEX(details_hash),'')"
    return f"HEX({column})" if column in _HEXADECIMAL else column


_SQLITE_COLUMNS = ",".join(_expression(column, "BLOB") for column in COLUMNS)
_MYSQL_COLUMNS = ",".join(_expression(column, "BINARY") for column in COLUMNS)
_JOINED = (
    f"GROUP_CONCAT(CONCAT_WS(X'{_FIELD.hex()}',{','.join(map(_joined_expression, COLUMNS))}) SEPARATOR X'{_ROW.hex()}')"
)
