"""The directory's database: sessions that are short, and whose failures are the ledger's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from ledger.errors import NothingRecorded, ReadUnavailable


class Directory:
    """Opens sessions. `engine` comes from ledger.database.open_engine; thread-safe."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._read = sessionmaker(engine, expire_on_commit=False)
        self._write = sessionmaker(engine.execution_options(write=True), expire_on_commit=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads. Raises ReadUnavailable when the database cannot be reached."""
        try:
            with self._read() as session:
                yield session
        except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise ReadUnavailable(reason="the directory's database cannot be reached") from error

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session that commits at the end. Raises NothingRecorded when the database takes no writes."""
        try:
            with self._write.begin() as session:
                yield session
        except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise NothingRecorded(reason="the directory's database takes no writes") from error
