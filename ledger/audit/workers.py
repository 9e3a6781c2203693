"""Processes that scan ranges of the log, each over a connection of its own.

They are forked, before the parent has a connection: Python's hash, which the sums over orders rest on, is then the same
in all of them. A process that ends without an answer leaves its range unseen, and the audit cannot tell. They end with
their parent, however that ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import sqlalchemy as sa

from ledger.audit.findings import CannotTell
from ledger.audit.range_books import RangeResult
from ledger.audit.reading import EventReader
from ledger.audit.scan import scan
from ledger.database import DatabaseError
from ledger.settings import LedgerSettings

POLL_S = 0.1
_STOP_S_MAX = 5.0
_PARENT_POLL_S = 1.0


class ScanProcess:
    """One process and the way to talk with it."""

    def __init__(self, url: str, settings: LedgerSettings, *, mysqlclient: bool | None = None) -> None:
        context = multiprocessing.get_context("fork")
        self._events: Synchronized[int] = context.Value("q", 0)
        self._ours, theirs = context.Pipe()
        arguments = (url, settings, mysqlclient, os.getpid(), self._ours, theirs, self._events)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def events(self) -> int:
        """How many events it has checked so far."""
        return self._events.value

    def begin(self, first: int, last: int) -> None:
        """Have it scan a range."""
        self._ours.send((first, last))

    def is_ready(self) -> bool:
        """Wait a moment for its answer; say whether it is there."""
        return self._ours.poll(POLL_S)

    def answer(self) -> RangeResult:
        """Return what its range came to. Raises CannotTell."""
        try:
            result = self._ours.recv()
        except EOFError:
            raise CannotTell(problem="a process of the audit ended before its range did") from None
        if isinstance(result, str):
            raise CannotTell(problem=result)
        return result  # type: ignore[no-any-return]

    def stop(self) -> None:
        """End it, whatever it does."""
        self._ours.close()
        self._process.terminate()
        self._process.join(_STOP_S_MAX)


@contextlib.contextmanager
def scan_processes(
    count: int, url: str, settings: LedgerSettings, *, mysqlclient: bool | None = None
) -> Iterator[Sequence[ScanProcess]]:
    """Run so many processes, none for one: the caller then scans itself."""
    processes: list[ScanProcess] = []
    try:
        while len(processes) < count and count > 1:
            processes.append(ScanProcess(url, settings, mysqlclient=mysqlclient))
        yield processes
    finally:
        for process in processes:
            process.stop()


def scan_here(
    url: str, settings: LedgerSettings, first: int, last: int, progress: Any, *, mysqlclient: bool | None = None
) -> RangeResult:
    """Scan a range in this process. Raises CannotTell when the database cannot be read."""
    try:
        reader = EventReader(url, settings, mysqlclient=mysqlclient)
        try:
            return scan(reader, first, last, progress=progress)
        finally:
            reader.close()
    except (*DatabaseError, sa.exc.SQLAlchemyError, OSError) as error:
        raise CannotTell(problem=f"the events cannot be read: {error}") from None
    except Exception as error:
        if type(error).__module__.startswith("MySQLdb"):
            raise CannotTell(problem=f"the events cannot be read: {error}") from None
        raise


def _serve(
    url: str,
    settings: LedgerSettings,
    mysqlclient: bool | None,  # noqa: FBT001 - A process takes its arguments by place.
    parent: int,
    theirs: Connection,
    asked: Connection,
    events: Synchronized[int],
) -> None:
    def progress(count: int) -> None:
        events.value += count

    # The copy of the parent's end that came with the fork would keep the parent's from being noticed.
    theirs.close()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        first, last = asked.recv()
        asked.send(scan_here(url, settings, first, last, progress, mysqlclient=mysqlclient))
    except CannotTell as error:
        asked.send(str(error))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - The edge of a process.
        asked.send(f"a process of the audit failed: {type(error).__name__}: {error}")


def _end_with(parent: int) -> None:
    # Whoever waits for a database, or scans for hours, looks at no pipe.
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
