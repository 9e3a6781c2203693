"""What an error of the database means for the group that met it."""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

import pymysql

from ledger.database import CONFLICTS

_TOO_LARGE = 1153
"""A packet is larger than the server takes: it read past it, and did nothing of it."""
_LOST = frozenset({0, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 2003, 2006, 2013, 2014, 2027, 2055, 4031})
"""The connection is gone or unusable: shutdown, killed, read or write errors, packets out of order."""
_REJECTED = (pymysql.err.IntegrityError, pymysql.err.DataError, pymysql.err.ProgrammingError, ValueError)


class Trouble(Enum):
    """What an error of the database asks for."""

    CONFLICT = auto()
    """Roll back and try the same again."""
    LOST = auto()
    """Connect anew; whether a commit under way took effect is unknown."""
    UNAVAILABLE = auto()
    """The server cannot take writes now."""
    REJECTED = auto()
    """The server objects to what was written: one of the commands is at fault."""


def trouble_of(error: Exception) -> Trouble:
    """Classify a driver's error."""
    if isinstance(error, sqlite3.Error):
        return _sqlite_trouble(error)
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    if number in CONFLICTS:
        return Trouble.CONFLICT
    if isinstance(error, (OSError, pymysql.err.InterfaceError)) or (
        isinstance(error, pymysql.err.OperationalError) and number in _LOST
    ):
        return Trouble.LOST
    if number == _TOO_LARGE or isinstance(error, _REJECTED):
        return Trouble.REJECTED
    return Trouble.UNAVAILABLE


def _sqlite_trouble(error: sqlite3.Error) -> Trouble:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Trouble.CONFLICT
    if isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError)):
        return Trouble.REJECTED
    return Trouble.UNAVAILABLE
