"""Connections for reading: the driver's own, for one process.

mysqlclient, where it is installed, hands out rows with less work than PyMySQL; it is used when the URL asks for nothing
that only PyMySQL understands.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pymysql
import sqlalchemy as sa

from ledger.database import node_urls, only_read, open_append_connection
from ledger.settings import LedgerSettings

_COMMON_OPTIONS = frozenset({"unix_socket", "charset"})


def connect(url: str, settings: LedgerSettings, *, mysqlclient: bool | None = None) -> Any:
    """Return a connection that cannot write and is in no transaction: SQLite's, mysqlclient's, or PyMySQL's.

    Each statement sees a moment of its own, and leaves no transaction open.
    `mysqlclient`: whether to use it; None: when it is installed.
    """
    parsed, *others = node_urls(url)
    wanted = has_mysqlclient() if mysqlclient is None else mysqlclient
    # Among several nodes the choice is ledger.nodes', whose connections are PyMySQL's.
    if wanted and not others and parsed.get_backend_name() != "sqlite" and set(parsed.query) <= _COMMON_OPTIONS:
        connection = _mysqlclient(parsed, settings)
    else:
        connection = open_append_connection(url, settings)
        if isinstance(connection, pymysql.Connection):
            # An export waits for whoever reads it between two pages, however long.
            connection.autocommit(True)
    only_read(connection)
    return connection


def has_mysqlclient() -> bool:
    """Say whether mysqlclient is installed."""
    return importlib.util.find_spec("MySQLdb") is not None


def _mysqlclient(url: sa.URL, settings: LedgerSettings) -> Any:
    driver = importlib.import_module("MySQLdb")
    named = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "database": url.database,
        "unix_socket": url.query.get("unix_socket"),
    }
    return driver.connect(
        **{name: value for name, value in named.items() if value is not None},
        charset="utf8mb4",
        use_unicode=False,
        conv={},
        autocommit=True,
        connect_timeout=max(1, round(settings.connect_timeout_s)),
        read_timeout=max(1, round(settings.statement_timeout_s)),
    )
