"""Copy log and directory into one file, as of one position, and restore it into empty databases of any engine.

The file is compressed JSON lines: a header (format, position, revisions of the schemas, the newest signed checkpoint),
rows table by table, and a trailer with their number, without which a file is not whole. Bytes are hexadecimal. Read
models are not in it: they are rebuilt from the log.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ledger import log, revisions, schema
from ledger.clock import now_us, rfc3339
from ledger.database import database_url, directory_url, open_engine, outlast_idling
from ledger.directory import webhooks
from ledger.directory.models import Base, Customer, Role
from ledger.errors import LedgerError
from ledger.exporting.files import whole_file
from ledger.exporting.writing import ExportRefused
from ledger.grants import APPEND_ONLY
from ledger.proofs.sealing import latest
from ledger.settings import LedgerSettings, read_settings

FORMAT = "orderledger-backup/1"
ROWS_PER_LINE = 500
LEFT_OUT = frozenset({"sessions"})
"""Tables that are not copied: whoever was logged in logs in again."""
HISTORIES = {"log": schema.metadata, "directory": Base.metadata}
"""The tables of each history; they may live in two databases."""
_MADE: dict[str, sa.ColumnElement[bool]] = {
    "log_head": schema.log_head.c.position > 0,
    "directory_state": sa.false(),
    "roles": sa.or_(Role.builtin == 0, Role.revision > 1),
    "role_permissions": sa.false(),
}
"""Of the tables that a migration fills: what somebody made or changed there. A role's permissions raise its revision."""


@dataclass(eq=False, kw_only=True)
class BackupRefused(LedgerError):
    """The file or the databases are not fit for it."""

    code = "backup-refused"
    message = "{problem}"
    problem: str


def backup(environment: Mapping[str, str], file: Path) -> dict[str, Any]:
    """Write a consistent copy and return its position and number of rows. An existing file is never overwritten.

    Raises BackupRefused, also while another run writes the file.
    """
    rows = 0
    with _opened(environment) as engines, _written(file) as out:
        with _snapshot(engines["log"]) as log_connection, _snapshot(engines["directory"]) as directory_connection:
            connections = {"log": log_connection, "directory": directory_connection}
            position = log.head(log_connection).position
            schemas = {name: revisions.current(connection, name) for name, connection in connections.items()}
            sealed = latest(log_connection)
            header = {"format": FORMAT, "position": position, "at": rfc3339(now_us()), "schemas": schemas}
            # The newest checkpoint for who wants to see, without restoring, what the copy can be held against.
            _write(out, header | {"checkpoint": None if sealed is None else sealed.note})
            for history, metadata in HISTORIES.items():
                for table in metadata.sorted_tables:
                    for chunk in () if table.name in LEFT_OUT else _rows_of(connections[history], table):
                        _write(out, {"history": history, "table": table.name, "rows": chunk})
                        rows += len(chunk)
        _write(out, {"rows": rows})
    return {"position": position, "sealed": 0 if sealed is None else sealed.size, "rows": rows, "file": str(file)}


def restore(environment: Mapping[str, str], file: Path) -> dict[str, Any]:
    """Restore a backup into databases that hold nothing yet; all or nothing for each database.

    Raises BackupRefused for a file that is not whole or of another schema, and for databases that hold something.
    """
    header, rows = _checked(file)
    with _opened(environment) as engines:
        _ensure_fit(engines, header)
        writing = {name: engine.execution_options(write=True) for name, engine in engines.items()}
        with writing["directory"].begin() as directory_connection:
            _restore(directory_connection, file, "directory")
            webhooks.go_back(directory_connection, header["position"])
        with writing["log"].begin() as log_connection:
            _restore(log_connection, file, "log")
    return {"position": header["position"], "rows": rows, "file": str(file)}


@contextmanager
def _opened(environment: Mapping[str, str]) -> Iterator[dict[str, sa.Engine]]:
    settings = read_settings(LedgerSettings, environment)
    engines = {
        "log": open_engine(database_url(settings), settings),
        "directory": open_engine(directory_url(settings), settings),
    }
    try:
        yield engines
    finally:
        for engine in engines.values():
            engine.dispose()


@contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    # One transaction that sees one moment; on SQLite every reading transaction does.
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            connection.execution_options(isolation_level="REPEATABLE READ")
            # The directory waits for the log.
            outlast_idling(connection)
        yield connection
        connection.rollback()


@contextmanager
def _written(file: Path) -> Iterator[Any]:
    try:
        # Names and phone numbers are in it.
        with (
            whole_file(file, resumable=False, resume=False, private=True) as raw,
            gzip.open(raw, "wt", encoding="utf-8") as out,
        ):
            yield out
    except ExportRefused as refused:
        raise BackupRefused(problem=refused.problem) from None


def _write(out: Any, document: Mapping[str, Any]) -> None:
    out.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


def _rows_of(connection: sa.Connection, table: sa.Table) -> Iterator[list[list[Any]]]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    found = connection.execution_options(stream_results=True, yield_per=ROWS_PER_LINE).execute(query)
    for chunk in found.partitions(ROWS_PER_LINE):
        yield [[value.hex() if isinstance(value, bytes) else value for value in row] for row in chunk]


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise BackupRefused(problem=f"{file} is damaged or no backup: {error}") from None


def _checked(file: Path) -> tuple[dict[str, Any], int]:
    lines = _lines(file)
    header = next(lines, {})
    if header.get("format") != FORMAT:
        raise BackupRefused(problem=f"{file} is no backup of this program")
    rows, trailer = 0, None
    for line in lines:
        rows += len(line["rows"]) if "table" in line else 0
        trailer = None if "table" in line else line["rows"]
    if trailer != rows:
        raise BackupRefused(problem=f"{file} is not whole; take another one")
    return header, rows


def _ensure_fit(engines: Mapping[str, sa.Engine], header: Mapping[str, Any]) -> None:
    for history, engine in engines.items():
        with engine.connect() as connection:
            revision = revisions.current(connection, history)
            if revision != header["schemas"][history]:
                problem = (
                    f"the {history} is at schema {revision or 'nothing'}, the backup at {header['schemas'][history]}"
                )
                raise BackupRefused(problem=f"{problem}; run `orderledger db upgrade` with the fitting release")
            for table in HISTORIES[history].sorted_tables:
                made = _MADE.get(table.name, sa.true())
                if connection.execute(sa.select(sa.literal(1)).select_from(table).where(made).limit(1)).first():
                    problem = f"the {history}'s database is not empty, there is something in {table.name}"
                    raise BackupRefused(problem=f"{problem}; restore into a new one")


def _restore(connection: sa.Connection, file: Path, history: str) -> None:
    # The directory's rows stand behind the log's in the file.
    outlast_idling(connection)
    tables = HISTORIES[history].tables
    for table in reversed(HISTORIES[history].sorted_tables):
        # What the migrations put there: the head at zero, the roles that come ready.
        if table.name not in APPEND_ONLY:
            connection.execute(sa.delete(table))
    for line in _lines(file):
        if line.get("history") != history:
            continue
        columns = tables[line["table"]].columns
        is_binary = [isinstance(column.type, sa.LargeBinary) for column in columns]
        contents = [
            {
                column.name: bytes.fromhex(value) if binary and value is not None else value
                for column, binary, value in zip(columns, is_binary, row, strict=True)
            }
            for row in line["rows"]
        ]
        if contents:
            connection.execute(sa.insert(tables[line["table"]]), contents)
    if history == "directory":
        # The two were copied at two moments: maintenance looks at every account once, and finishes what differs.
        connection.execute(sa.update(Customer).values(in_step=0))
