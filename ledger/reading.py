"""Run reads so that a lost connection is not the reader's problem."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from ledger.errors import ReadUnavailable

Result = TypeVar("Result")

PAUSES_S = (0.0, 0.0, 0.05, 0.15)
"""How long to wait before each new try: at once for the connections that a pool has kept too long, later for a server
that comes back.
"""

TRIES_S_MAX = 2.0
"""No new try begins later than this: a server that takes connections and says nothing costs a whole time-out each time."""


def read(engine: sa.Engine, query: Callable[[sa.Connection], Result]) -> Result:
    """Return what the query reads, trying again on a new connection when one is lost.

    Raises ReadUnavailable when the database cannot be reached, or no connection is free in time.
    """
    tries_end_at_s = time.monotonic() + TRIES_S_MAX
    for pause_s in (*PAUSES_S, None):
        try:
            with engine.connect() as connection:
                return query(connection)
        except sa.exc.DBAPIError as error:
            if pause_s is None or not error.connection_invalidated or time.monotonic() >= tries_end_at_s:
                raise ReadUnavailable(reason="the database cannot be reached") from error
            time.sleep(pause_s)
        except sa.exc.TimeoutError:
            raise ReadUnavailable(reason="all database connections are in use") from None
    raise AssertionError("unreachable")
