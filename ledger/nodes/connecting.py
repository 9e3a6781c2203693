"""The driver's connection, which gives up a server that hangs sooner than a statement that takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.cursors import Cursor

if TYPE_CHECKING:
    _Driver = pymysql.Connection[Cursor]
else:
    _Driver = pymysql.Connection  # No generic at run time.


class Connection(_Driver):
    """Greetings, log-in and pings are waited for no longer than a connection is: a server that lives answers them at once.

    The driver's own `connect_timeout` ends with the TCP connection, which a server that hangs still takes.
    """

    def connect(self, sock: Any = None) -> None:
        """Connect and log in. Raises what the driver raises."""
        with self._in_a_hurry():
            super().connect(sock)

    def ping(self, reconnect: Any = False) -> None:  # noqa: FBT002 - as the driver has it
        """See whether the server is there. Raises what the driver raises."""
        with self._in_a_hurry():
            super().ping(reconnect)

    @contextmanager
    def _in_a_hurry(self) -> Iterator[None]:
        # The driver looks at this attribute, whose type is not known, before each read.
        here: Any = self
        patience_s: float | None = here._read_timeout
        hurry_s: float | None = here.connect_timeout
        if hurry_s is not None and (patience_s is None or hurry_s < patience_s):
            here._read_timeout = hurry_s
        try:
            yield
        finally:
            here._read_timeout = patience_s
