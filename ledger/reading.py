"""Run reads so that a lost connection is not the reader's problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from ledger.errors import ReadUnavailable

Result = TypeVar("Result")

TRIES_MAX = 3


def read(engine: sa.Engine, query: Callable[[sa.Connection], Result]) -> Result:
    """Return what the query reads, trying again on a new connection when one is lost.

    Raises ReadUnavailable when the database cannot be reached, or no connection is free in time.
    """
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            with engine.connect() as connection:
                return query(connection)
        except sa.exc.DBAPIError as error:
            if tries_left == 0 or not error.connection_invalidated:
                raise ReadUnavailable(reason="the database cannot be reached") from error
        except sa.exc.TimeoutError:
            raise ReadUnavailable(reason="all database connections are in use") from None
    raise AssertionError("unreachable")
