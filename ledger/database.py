"""Engines for the databases of the ledger: pools, time-outs and session settings, the same for SQLite and MariaDB or
MySQL. Where the URL lists several nodes, connections lead to the one that is written to now; see ledger.nodes.
"""

from __future__ import annotations

import os
import re
import sqlite3
import weakref
from functools import partial
from pathlib import Path
from typing import Any, cast

import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT

from ledger.errors import BadSetting
from ledger.figures import CountingPool
from ledger.nodes import Cluster, cluster_of
from ledger.nodes.connecting import Connection
from ledger.settings import LedgerSettings

_BETWEEN_URLS = re.compile(r",(?=\s*[a-z+]+://)")
"""A comma may also be part of a password."""
_LISTED = "node_urls"
SQL_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO"
GATHERED_BYTES_MAX = 256 * 1024 * 1024
"""Longest value gathered from rows, as far as the server's packets allow."""
NODES_MAX = 9
CONFIRMING = "SELECT 1"
"""What a commit at a node of Galera is followed by: being a read, it waits for the cluster, and fails without one."""
CONFLICTS = frozenset({1205, 1213, 1020})
"""Lock wait timeout, deadlock, snapshot conflict: nothing was done, and trying again may help."""
NOT_HERE = frozenset({1047, 1290, 1836})
"""The node has lost its cluster, or is read-only: another one may do it."""
DatabaseError = (pymysql.err.Error, sqlite3.Error)
"""What a driver may raise, whichever engine."""


def database_url(settings: LedgerSettings) -> str:
    """Return the log's URL: the configured one, or SQLite in the data directory."""
    return settings.database_url or f"sqlite:///{Path(settings.data).resolve() / 'ledger.sqlite'}"


def directory_url(settings: LedgerSettings) -> str:
    """Return the directory's URL: the configured one, or the log's."""
    return settings.directory_url or database_url(settings)


def are_split(log: sa.Engine, directory: sa.Engine) -> bool:
    """Say whether the directory has a database of its own."""
    return log.url != directory.url


def open_engine(url: str, settings: LedgerSettings, **options: Any) -> sa.Engine:
    """Return an engine with our pool, time-outs and session settings; nothing connects yet.

    On SQLite a transaction that will write must be opened by an engine with the execution option ``write=True`` (it
    then takes the write lock at once instead of failing later). A forked child gets fresh connections. Raises
    BadSetting for other databases.
    """
    first, *_ = node_urls(url)
    if first.get_backend_name() == "sqlite":
        return _sqlite_engine(first, settings, **options)
    cluster = opened_cluster(url, settings)
    connecting = _connecting(url, cluster, settings)
    engine = sa.create_engine(
        first, isolation_level="READ COMMITTED", pool_pre_ping=True, **_pool(settings), **connecting, **options
    )
    if cluster is not None:
        _stay_with(cluster, engine)
    _dispose_after_fork(engine)
    return engine


def open_reading_engine(url: str, settings: LedgerSettings, *, pooled: bool = True) -> sa.Engine:
    """Return an engine whose connections cannot write, and whose transactions see one moment.

    A lost connection is found out by its reader, who has another server to go to. `pooled` False: each use connects anew.
    Raises BadSetting.
    """
    first, *_ = node_urls(url)
    pool: dict[str, Any] = _pool(settings) if pooled else {"poolclass": sa.NullPool}
    if first.get_backend_name() == "sqlite":
        engine = _sqlite_engine(first, settings, **({} if pooled else pool))
    else:
        cluster = opened_cluster(url, settings)
        connecting = _connecting(url, cluster, settings)
        engine = sa.create_engine(first, isolation_level="REPEATABLE READ", **pool, **connecting)
        if cluster is not None:
            _stay_with(cluster, engine)
        _dispose_after_fork(engine)

    @sa.event.listens_for(engine, "connect")
    def forbid_writes(connection: Any, _: Any) -> None:
        only_read(connection)

    return engine


def only_read(connection: Any) -> None:
    """Have the database refuse whatever this driver's connection would write from now on."""
    forbidding = (
        "PRAGMA query_only=ON" if isinstance(connection, sqlite3.Connection) else "SET SESSION TRANSACTION READ ONLY"
    )
    cursor = connection.cursor()
    cursor.execute(forbidding)
    cursor.close()


def outlast_idling(connection: sa.Connection) -> None:
    """Let the database transactions of this connection wait for other work between their statements, however long."""
    # MySQL has no such limit. The dialect learns which server it is with the first connection.
    if getattr(connection.dialect, "is_mariadb", False):
        connection.exec_driver_sql("SET SESSION idle_transaction_timeout=0")


def url_of(engine: sa.Engine) -> str:
    """Return the URL that an engine was opened with, all its nodes and its password included."""
    listed = engine.get_execution_options().get(_LISTED)
    return listed if isinstance(listed, str) else engine.url.render_as_string(hide_password=False)


def opened_cluster(url: str, settings: LedgerSettings) -> Cluster | None:
    """Return the cluster whose nodes the URL lists, the same one for everybody in this process; None for one server.

    Raises BadSetting.
    """
    urls = node_urls(url)
    return None if len(urls) == 1 else cluster_of([_named(each, settings) for each in urls])


def open_append_connection(url: str, settings: LedgerSettings) -> sqlite3.Connection | pymysql.Connection[Any]:
    """Return the one driver connection that a committer writes through.

    On MySQL it takes several statements a round trip and begins a transaction with the first after a commit.
    """
    first, *_ = node_urls(url)
    cluster = opened_cluster(url, settings)
    if first.get_backend_name() == "sqlite":
        engine = _sqlite_engine(first, settings, poolclass=sa.NullPool)
    else:
        connecting = _connecting(url, cluster, settings, client_flag=CLIENT.MULTI_STATEMENTS)
        engine = sa.create_engine(
            first, isolation_level="READ COMMITTED", poolclass=sa.NullPool, skip_autocommit_rollback=True, **connecting
        )
    try:
        pooled = engine.raw_connection()
    except sa.exc.DBAPIError as error:
        # The committer knows the driver's errors only.
        raise error.orig if error.orig is not None else error from None
    connection: Any = pooled.dbapi_connection
    pooled.detach()
    if isinstance(connection, pymysql.Connection):
        connection.autocommit(False)
    return connection  # type: ignore[no-any-return]


def node_urls(url: str) -> list[sa.URL]:
    """Return the URLs of the nodes that a setting lists between commas, in order of preference. Raises BadSetting."""
    urls = [_parsed(each.strip()) for each in _BETWEEN_URLS.split(url)]
    if len(urls) > 1 and any(each.get_backend_name() == "sqlite" for each in urls):
        raise BadSetting(variable="database URL", problem="only nodes of MariaDB or MySQL can be listed")
    if len(urls) > NODES_MAX:
        raise BadSetting(variable="database URL", problem=f"at most {NODES_MAX} nodes can be listed")
    return urls


def _parsed(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise BadSetting(
            variable="database URL", problem="not a URL such as sqlite:///path or mysql+pymysql://user@host/name"
        ) from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "mysql+pymysql", "mariadb+pymysql"):
        raise BadSetting(
            variable="database URL", problem=f"{parsed.drivername} is not supported; use sqlite or mysql+pymysql"
        )
    return parsed


def _pool(settings: LedgerSettings) -> dict[str, Any]:
    return {
        "poolclass": CountingPool,
        "pool_size": settings.pool_size,
        "max_overflow": settings.pool_max_overflow,
        "pool_recycle": settings.pool_recycle_s,
        "pool_timeout": settings.pool_timeout_s,
    }


def _connecting(url: str, cluster: Cluster | None, settings: LedgerSettings, **more: Any) -> dict[str, Any]:
    """Return what `create_engine` wants to know of how connections are made."""
    if cluster is not None:
        return {"creator": partial(cluster.connect, **more), "execution_options": {_LISTED: url}}
    (only,) = node_urls(url)
    _, arguments = _named(only, settings)
    return {"creator": partial(Connection, **{**arguments, **more})}


def _named(url: sa.URL, settings: LedgerSettings) -> tuple[str, dict[str, Any]]:
    """Return a node's name, and what the driver connects to it with."""
    _, arguments = url.get_dialect()().create_connect_args(url)
    where = url.query.get("unix_socket") or f"{url.host}:{url.port or 3306}"
    return str(where), {**arguments, **_mysql_arguments(url, settings)}


def _mysql_arguments(url: sa.URL, settings: LedgerSettings) -> dict[str, Any]:
    # PyMySQL waits for ever without read_timeout, and tries TLS even on a private socket unless told not to.
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "connect_timeout": settings.connect_timeout_s,
        "read_timeout": settings.statement_timeout_s,
        "write_timeout": settings.statement_timeout_s,
        "init_command": f"SET SESSION innodb_lock_wait_timeout={settings.lock_timeout_s}, sql_mode='{SQL_MODE}', "
        f"group_concat_max_len={GATHERED_BYTES_MAX}",
    }
    if "unix_socket" in url.query and not any(name.startswith("ssl") for name in url.query):
        arguments["ssl_disabled"] = True
    return arguments


def _stay_with(cluster: Cluster, engine: sa.Engine) -> None:
    """Have the engine's connections follow the node that is written to."""

    commit = engine.dialect.do_commit

    def commit_and_confirm(pooled: Any) -> None:
        commit(pooled)
        confirm(cluster, getattr(pooled, "dbapi_connection", pooled))

    # SQLAlchemy has no event between a commit and its success.
    engine.dialect.do_commit = commit_and_confirm  # type: ignore[method-assign, assignment]

    @sa.event.listens_for(engine, "checkout")
    def leave(connection: Any, record: Any, proxy: Any) -> None:
        if cluster.is_left(connection):
            # The pool then makes another connection.
            raise sa.exc.DisconnectionError

    @sa.event.listens_for(engine, "handle_error")
    def suspect(context: sa.engine.ExceptionContext) -> None:
        number = getattr(context.original_exception, "args", (0,))[:1]
        if number and number[0] in NOT_HERE:
            context.is_disconnect = True
        held = None if context.connection is None or context.connection.invalidated else context.connection.connection
        if context.is_disconnect and held is not None and held.dbapi_connection is not None:
            cluster.doubt(cast("pymysql.Connection[Any]", held.dbapi_connection))


def confirm(cluster: Cluster, connection: pymysql.Connection[Any]) -> None:
    """See that the connection's last commit holds in its whole cluster; raises what the driver raises when it may not."""
    if cluster.is_confirming(connection):
        with connection.cursor() as cursor:
            cursor.execute(CONFIRMING)
        connection.rollback()


def _sqlite_engine(url: sa.URL, settings: LedgerSettings, **options: Any) -> sa.Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    pool = {} if "poolclass" in options else _pool(settings)
    engine = sa.create_engine(
        url, connect_args={"check_same_thread": False, "timeout": settings.lock_timeout_s}, **pool, **options
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # We say BEGIN ourselves, in the event below.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        # Beside its own lower(), which is much faster and does for what is ASCII.
        connection.create_function("lower_unicode", 1, str.lower, deterministic=True)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    _dispose_after_fork(engine)
    return engine


def _dispose_after_fork(engine: sa.Engine) -> None:
    # A weak reference, so that an engine that is no longer used can go.
    reference = weakref.ref(engine)

    def forget_inherited_connections() -> None:
        inherited = reference()
        if inherited is not None:
            inherited.dispose(close=False)

    os.register_at_fork(after_in_child=forget_inherited_connections)
