"""The whole service in real processes, as an operator starts it: for stories, load and kills."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from ledger.ids import new_id
from orderledger.client import Client as LedgerClient
from orderledger.opening import opened_engine
from projections.redis_clients import open_redis
from projections.status import status

READY_S_MAX = 30.0
STOP_S_MAX = 40.0
ROLES = (("worker", "projections"), ("worker", "agent"), ("worker", "webhooks"), ("worker", "maintenance"))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its JSON body."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Use:
    """Open files and threads."""

    files: int
    threads: int


class Client:
    """A machine client of the API; thread-safe."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._key = key
        retries = urllib3.Retry(False)
        self._pool = urllib3.PoolManager(maxsize=64, retries=retries, timeout=urllib3.Timeout(connect=2, read=20))

    def request(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """Send one request; lost connections raise."""
        sent = {
            "Authorization": f"Bearer {self._key}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if method == "POST":
            sent["Idempotency-Key"] = key or new_id("k")
        answer = self._pool.request(method, self._address + path, body=data, headers=sent)
        found = (
            json.loads(answer.data) if answer.data and "json" in answer.headers.get("Content-Type", "") else answer.data
        )
        return Answer(answer.status, found, answer.headers)

    def trust(self, certificate: str) -> None:
        """Take a certificate for good when it is this file's."""
        self._pool.connection_pool_kw["ca_certs"] = certificate

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, *, key: str | None = None) -> Answer:
        """POST under a key, a fresh one unless given."""
        return self.request("POST", path, body, key=key)


class Service:
    """One process of each role; each may be killed and is then started again, as a process manager would."""

    def __init__(
        self, environment: Mapping[str, str], *, api_workers: int = 1, apis: int = 1, log: Path | None = None
    ) -> None:
        ports = [_free_port() for _ in range(apis)]
        self.port = ports[0]
        self.addresses = [f"http://127.0.0.1:{port}" for port in ports]
        self.address = self.addresses[0]
        code = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
        base = {name: value for name, value in os.environ.items() if not name.startswith("ORDERLEDGER_")}
        # Nobody stands in front of it who would need notice of a stop, unless a test says so.
        self.environment = {**base, "ORDERLEDGER_DRAIN_NOTICE_S": "0", **environment, "PYTHONPATH": code}
        self._commands: dict[str, tuple[str, ...]] = {" ".join(command[:2]): command for command in ROLES}
        for number, port in enumerate(ports, start=1):
            name = "api" if number == 1 else f"api {number}"
            self._commands[name] = ("api", "--port", str(port), "--workers", str(api_workers))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log = log
        self._held: set[str] = set()
        self._stopping = threading.Event()

    def run(self, *arguments: str) -> str:
        """Run a command of the command line to its end and return its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "orderledger", *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=60,
        )
        return done.stdout.decode()

    def start(self) -> None:
        """Start every role and wait until the API is ready."""
        for name in self._commands:
            self._start(name)
        threading.Thread(target=self._keep_running, daemon=True).start()
        for address in self.addresses:
            self.wait_until(lambda: self._status("/readyz", address) == 200, s_max=READY_S_MAX)  # noqa: B023

    def client(self, role: str = "admin") -> Client:
        """Make an API key and return its client."""
        return Client(self.address, self.api_key(role))

    def ledger(self, role: str = "admin", *, timeout_s: float = 10.0) -> LedgerClient:
        """Make an API key and return a client of the product's own, as programs use it."""
        return LedgerClient(self.address, api_key=self.api_key(role), timeout_s=timeout_s)

    def api_key(self, role: str = "admin") -> str:
        """Make an API key and return its secret."""
        return self.run("api-key", "create", "--name", "test", "--role", role).strip()

    def kill(self, name: str) -> None:
        """Kill a role's process and all its children at once, with SIGKILL."""
        process = self._processes[name]
        for pid in [*_descendants(process.pid), process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()

    def use(self, name: str) -> Use:
        """Return what a role's process and all its children have open."""
        process = self._processes[name]
        use = [_use(pid) for pid in [*_descendants(process.pid), process.pid]]
        return Use(sum(each.files for each in use), sum(each.threads for each in use))

    def restart(self, name: str) -> float:
        """Stop a role in order, as a deployment does, and wait until it is there again; return how long it was away."""
        process = self._processes[name]
        process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_S_MAX)
        assert code == 0, f"{name} ended with {code}"
        started_s = time.monotonic()
        self.wait_until(lambda: self._processes[name] is not process, s_max=READY_S_MAX)
        if name.startswith("api"):
            address = self.addresses[int(name.removeprefix("api") or 1) - 1]
            self.wait_until(lambda: self._status("/readyz", address) == 200, s_max=READY_S_MAX)
        return time.monotonic() - started_s

    def hold(self, name: str) -> None:
        """Stop a role in order, and do not start it again until it is released."""
        self._held.add(name)
        self._processes[name].send_signal(signal.SIGTERM)
        self._processes[name].wait(STOP_S_MAX)

    def release(self, name: str) -> None:
        """Start a role again."""
        self._held.discard(name)

    def stop(self) -> dict[str, int]:
        """Stop every role with SIGTERM and return their exit codes."""
        self._stopping.set()
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(STOP_S_MAX) for name, process in self._processes.items()}

    def wait_until(self, is_so: Callable[[], bool], *, s_max: float = 60.0) -> float:
        """Wait until it is so and return how long that took."""
        started_s = time.monotonic()
        while not is_so():
            if time.monotonic() - started_s > s_max:
                raise TimeoutError(f"it was not so within {s_max} s")
            time.sleep(0.1)
        return time.monotonic() - started_s

    def caught_up(self) -> bool:
        """Say whether every read model reflects the head."""
        url = self.environment.get("ORDERLEDGER_REDIS_URL", "")
        with opened_engine(self.environment) as engine, open_redis(url) as client, engine.connect() as connection:
            return all(each.lag_events == 0 and each.state == "current" for each in status(client, connection))

    def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "orderledger", *self._commands[name]]
        with ExitStack() as stack:
            errors = None if self._log is None else stack.enter_context(self._log.open("ab"))
            self._processes[name] = subprocess.Popen(
                command, env=self.environment, start_new_session=True, stdout=errors, stderr=errors
            )

    def _keep_running(self) -> None:
        while not self._stopping.wait(0.1):
            for name, process in list(self._processes.items()):
                if process.poll() is not None and not self._stopping.is_set() and name not in self._held:
                    self._start(name)

    def _status(self, path: str, address: str) -> int:
        try:
            return int(urllib3.request("GET", address + path, retries=False, timeout=2).status)
        except urllib3.exceptions.HTTPError:
            return 0


@contextmanager
def running(
    environment: Mapping[str, str], *, api_workers: int = 1, apis: int = 1, log: Path | None = None
) -> Iterator[Service]:
    """Migrate, start every role, and stop them at the end; a process that does not end in order is an error."""
    service = Service(environment, api_workers=api_workers, apis=apis, log=log)
    service.run("db", "upgrade")
    service.start()
    try:
        yield service
    finally:
        codes = service.stop()
    assert set(codes.values()) <= {0}, codes


def _descendants(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, check=True).stdout.decode().split("\n")
    children: dict[int, list[int]] = {}
    for line in filter(None, listed):
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _use(pid: int) -> Use:
    try:
        return Use(*(sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir()) for what in ("fd", "task")))
    except FileNotFoundError:
        return Use(0, 0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
