"""The directory's database: sessions that are short, and whose failures are the ledger's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from ledger.errors import NothingRecorded, OutcomeUnknown, ReadUnavailable


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
        """Open a session that commits at the end.

        Raises NothingRecorded when the database takes no writes, OutcomeUnknown when it did not answer the commit.
        """
        is_committing = False
        try:
            with self._write() as session:
                yield session
                session.flush()
                is_committing = True
                session.commit()
        except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            if is_committing:
                raise OutcomeUnknown(reason="the directory's database did not answer") from error
            raise NothingRecorded(reason="the directory's database takes no writes") from error
