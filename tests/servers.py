"""Private servers for tests and measurements: a MariaDB and a Redis of their own, gone with whoever started them.

Each keeps its files in a temporary folder, removed by `stop`. A watching process per server does the same when the
process that started it is killed, so that an interrupted run leaves nothing behind. `kill` and `start` again imitate a
crash: the files stay.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from server_programs import (
    ServerMissing,
    find_program,
    free_port,
    installed_datadir,
    mariadb_options,
    remove_when_gone,
    valkey_program,
    without_waiting_for_disks,
)

START_S_MAX = 60.0
STOP_S_MAX = 30.0
_PAUSE_S = 0.02


class ServerFailed(Exception):
    """The server ended, or did not answer in time; the message has its log's end."""


class _PrivateServer:
    """A child process with a temporary folder: started, killed, started again, stopped for good."""

    name: str

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"ol-{self.name}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The running server's process id."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and neither killed nor shut down since."""
        return self._process is not None

    def start(self) -> Self:
        """Start on the files that are there and wait until the server answers."""
        try:
            command, environment = self._command()
        except ServerMissing:
            self.stop()
            raise
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                cwd=self.directory,
                start_new_session=True,
            )
        self._watch = remove_when_gone(self.directory, pid=self._process.pid)
        deadline = time.monotonic() + START_S_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                message = f"{self.name} did not start:\n{self.log_tail()}"
                self.stop()
                raise ServerFailed(message)
            time.sleep(_PAUSE_S)
        return self

    def kill(self) -> None:
        """End the server as a power cut of the process would: SIGKILL; its files stay."""
        self._end(signal.SIGKILL)

    def shut_down(self) -> None:
        """End the server in good order; its files stay."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Shut down and start again."""
        self.shut_down()
        self.start()

    def pause(self) -> None:
        """Let the server hang: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        threads = Path(f"/proc/{self.pid}/task")
        # The signal reaches one thread after the other: the last ones still answer.
        while not all(_is_stopped(thread) for thread in threads.iterdir()):
            time.sleep(0.001)

    def resume(self) -> None:
        """Let a hanging server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the server and remove its files. Nobody will read them: a kill is as good and faster."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self) -> str:
        """Return the last lines that the server wrote."""
        log = self.directory / "server.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if self._watch is not None:
            # Killed, not closed: a closed pipe means that we died.
            self._watch.kill()
            self._watch.wait()
            assert self._watch.stdin is not None
            self._watch.stdin.close()
            self._watch = None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


def _is_stopped(thread: Path) -> bool:
    try:
        _, _, after_name = (thread / "stat").read_text().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return True  # It has ended.
    return after_name.split()[0] == "T"


class PrivateMariaDB(_PrivateServer):
    """A MariaDB with an unprotected root, reachable by its socket and on 127.0.0.1.

    ``binlog`` writes a binary log, flushed at each commit as a production server would; without it nothing waits for the disk,
    where that can be had. ``options`` are further server
    options, such as ``{"innodb-flush-log-at-trx-commit": "2"}``.
    """

    name = "mariadb"

    def __init__(
        self, *, binlog: bool = False, buffer_pool_mib: int = 64, options: Mapping[str, str] | None = None
    ) -> None:
        template = installed_datadir()
        super().__init__()
        self.socket = self.directory / "s.sock"
        self._options = {
            "innodb-buffer-pool-size": f"{buffer_pool_mib}M",
            **({"log-bin": "binlog", "sync-binlog": "1", "server-id": "1", "binlog-format": "ROW"} if binlog else {}),
            **(options or {}),
        }
        self._binlog = binlog
        self._definitions: dict[str, list[str]] = {}
        subprocess.run(["cp", "-R", str(template), str(self.directory / "data")], check=True)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database, over the socket."""
        return f"mysql+pymysql://root@/{database}?unix_socket={self.socket}&charset=utf8mb4"

    def tcp_url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database, over 127.0.0.1."""
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}?charset=utf8mb4"

    def create_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        return self.url(name)

    def copy_database(self, source: str, target: str) -> None:
        """Copy tables, their rows and triggers into an empty database; what `source` consists of is read once."""
        if source not in self._definitions:
            self._definitions[source] = list(self._definition(source))
        with self._connect(target) as connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks=0")
            for statement in self._definitions[source]:
                cursor.execute(statement)
            connection.commit()

    def _definition(self, source: str) -> Iterator[str]:
        tables = [row[0] for row in self.execute("SHOW TABLES", source)]
        yield from (self.execute(f"SHOW CREATE TABLE `{table}`", source)[0][1] for table in tables)
        for table in tables:
            if self.execute(f"SELECT 1 FROM `{table}` LIMIT 1", source):
                yield f"INSERT INTO `{table}` SELECT * FROM `{source}`.`{table}`"
        for trigger in self.execute("SHOW TRIGGERS", source):
            yield self.execute(f"SHOW CREATE TRIGGER `{trigger[0]}`", source)[0][2]

    def drop_database(self, name: str, *, lock_s_max: int = 60) -> None:
        """Remove a database if it is there; raises OperationalError when someone holds its tables longer than that."""
        self.execute(f"SET STATEMENT lock_wait_timeout={lock_s_max} FOR DROP DATABASE IF EXISTS `{name}`")

    def execute(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one statement as root and return its rows."""
        with self._connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def _connect(self, database: str | None = None) -> pymysql.Connection[Any]:
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,
            connect_timeout=5,
            read_timeout=60,
        )

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = find_program("mariadbd")
        options = {
            **mariadb_options(),
            "datadir": str(self.directory / "data"),
            # A server that starts removes what it takes for left-over temporary tables, other servers' too.
            "tmpdir": str(self.directory),
            "socket": str(self.socket),
            "port": str(self.port),
            "bind-address": "127.0.0.1",
            "pid-file": str(self.directory / "pid"),
            "character-set-server": "utf8mb4",
            "collation-server": "utf8mb4_bin",
            "max-allowed-packet": "64M",
            "max-connections": "300",
            "performance-schema": "OFF",
            **self._options,
        }
        flags = [] if self._binlog else ["--skip-log-bin"]
        if not self._binlog:
            environment = {**environment, **without_waiting_for_disks()}
        return [
            program,
            "--no-defaults",
            *(f"--{name}={value}" for name, value in options.items()),
            *flags,
        ], environment

    def _answers(self) -> bool:
        try:
            with self._connect():
                return True
        except pymysql.err.OperationalError:
            return False


class PrivateRedis(_PrivateServer):
    """A Redis, or the Valkey that the ``embedded`` extra brings, with its append-only file on.

    ``options`` are further settings, such as ``{"appendfsync": "always"}``.
    """

    name = "redis"

    def __init__(
        self, *, engine: Literal["redis", "valkey"] = "redis", options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.engine = engine
        self.socket = self.directory / "s.sock"
        self._options = dict(options or {})

    def url(self, database: int = 0) -> str:
        """Return the URL of a numbered database, over the socket."""
        return f"unix://{self.socket}?db={database}"

    def tcp_url(self, database: int = 0) -> str:
        """Return the URL of a numbered database, over 127.0.0.1."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def client(self) -> redis.Redis:
        """Return a client that tries once: a test wants to see the error."""
        return redis.Redis.from_url(self.url(), decode_responses=True, retry=Retry(NoBackoff(), 0), socket_timeout=10)

    def flush(self) -> None:
        """Forget every key and script."""
        with self.client() as client:
            client.flushall()
            client.script_flush()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        program, environment = find_program("redis-server") if self.engine == "redis" else (valkey_program(), {})
        options = {
            "dir": str(self.directory),
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "bind": "127.0.0.1",
            "port": str(self.port),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            **self._options,
        }
        return [program, *(text for name, value in options.items() for text in (f"--{name}", value))], environment

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
