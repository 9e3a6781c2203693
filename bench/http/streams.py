"""Long streams: a batch as NDJSON over HTTP, and `orderledger import` of a file; how fast, and how much memory they take."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import processor
from bench.http.api import MeasuredApi, measured_api
from bench.http.cells import LEFT_OUT
from bench.http.client import REFERENCE
from bench.http.servers import ROOT
from bench.ledger_way import account_id
from bench.method import OURS, Contestant, Measured, Method, Observation, Progress, run_rounds
from bench.server import Servers

ACCOUNTS = 10_000
ANSWER_S_MAX = 600.0
LOOK_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCell:
    """One pass over so many commands; `kind` is ndjson or import, `quick_commands` the size in the quick form, if it is in it."""

    name: str
    kind: str
    commands: int
    quick_commands: int | None = None
    accounts: int = ACCOUNTS

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Make the commands, post them all once, and prove the log. Raises AssertionError."""
        if method.quick and self.quick_commands is None:
            return Measured(name=self.name, ways=(OURS,), missing={OURS: LEFT_OUT})
        commands = self.quick_commands if method.quick and self.quick_commands else self.commands
        measured = Measured(name=self.name, ways=(OURS,), axis=f"{self.kind} commands", size=commands)
        progress(f"{self.name}: preparing")
        with measured_api(servers, accounts=self.accounts) as api, tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "commands.ndjson"
            _write_commands(file, commands, self.accounts)
            posting = Ndjson if self.kind == "ndjson" else Import
            contestant: Contestant = posting(api, servers.mariadb.pid, file, commands)
            run_rounds(measured, [contestant], replace(method, rounds=1), progress)
        return measured


class Ndjson:
    """The commands as one streamed batch."""

    way = OURS

    def __init__(self, api: MeasuredApi, database_pid: int, file: Path, commands: int) -> None:
        self._api = api
        self._database_pid = database_pid
        self._file = file
        self._commands = commands

    def make_ready(self, seconds: float) -> None:
        """Have the server start what the first request starts."""
        self._post(b"")

    def sample(self, seconds: float) -> Observation:
        """Send the whole file and read all results."""
        pids = self._api.server.processes()
        with _watched(pids) as watch:
            content = self._file.read_bytes()
            used = _Used(pids, self._database_pid)
            results = self._post(content)
            return used.observation(self._commands, {"grew_mib": watch.grown_mib(), "results": float(results)})

    def prove(self) -> int:
        """Prove the log and that it holds every command."""
        self._api.server.stop()
        held = self._api.prove()
        assert held == self._commands, held
        return held

    def _post(self, content: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._api.server.port, timeout=ANSWER_S_MAX)
        headers = {"Authorization": f"Bearer {self._api.token}", "Content-Type": "application/x-ndjson"}
        connection.request("POST", "/v1/batches", content, headers)
        answer = connection.getresponse()
        accepted = sum(line.startswith(b'{"status":201') for line in answer)
        connection.close()
        assert answer.status == 200
        return accepted


class Import(Ndjson):
    """The commands through `orderledger import`, a process of its own."""

    def make_ready(self, seconds: float) -> None:
        """Nothing."""

    def sample(self, seconds: float) -> Observation:
        """Import the file."""
        command = [sys.executable, "-m", "orderledger", "import", str(self._file), "--json"]
        environment = {**os.environ, **self._api.environment}
        used = _Used([], self._database_pid)
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with _watched([process.pid]) as watch:
            said, _ = process.communicate(timeout=ANSWER_S_MAX)
        counts = json.loads(said)
        assert counts["accepted"] == self._commands, counts
        return used.observation(self._commands, {"mib": watch.most_mib})


class _Used:
    """Processor time since it was made."""

    def __init__(self, pids: list[int], database_pid: int) -> None:
        self._pids = pids
        self._database_pid = database_pid
        self._before = self._now()
        self._started = time.monotonic()

    def observation(self, commands: int, more: dict[str, float]) -> Observation:
        """Return what so many commands took."""
        took_s = time.monotonic() - self._started
        used = {
            name: after - before
            for (name, after), before in zip(self._now().items(), self._before.values(), strict=True)
        }
        others_s = used.pop("machine") - sum(used.values())
        cpu_us = {name: seconds / commands * 1e6 for name, seconds in used.items()}
        others_cores = max(0.0, others_s) / took_s
        return Observation(
            operations=commands, per_s=commands / took_s, cpu_us=cpu_us, others_cores=others_cores, more=more
        )

    def _now(self) -> dict[str, float]:
        return {
            "python": sum(map(processor.process_s, self._pids)) + processor.children_s(),
            "mariadbd": processor.process_s(self._database_pid),
            "machine": processor.machine_s(),
        }


class _Watch:
    """The most memory that processes hold meanwhile, beside what they held when it began to look."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._first: float | None = None
        self.most_mib = 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until the end."""
        while not self._ended.wait(LOOK_INTERVAL_S):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):
                now = max(map(processor.resident_mib, self._pids))
                self._first = now if self._first is None else self._first
                self.most_mib = max(self.most_mib, now)

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def grown_mib(self) -> float:
        """Return by how much the largest process grew."""
        return 0.0 if self._first is None else self.most_mib - self._first


@contextlib.contextmanager
def _watched(pids: list[int]) -> Iterator[_Watch]:
    watch = _Watch(pids)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()


def _write_commands(file: Path, commands: int, accounts: int) -> None:
    run = uuid.uuid4().hex[:12]
    with file.open("w", encoding="ascii") as lines:
        for number in range(commands):
            customer = account_id(random.randint(1, accounts))
            lines.write(
                f'{{"type":"deduction","customer_id":"{customer}","amount":"0.01","reference":"{REFERENCE}",'
                f'"idempotency_key":"{run}-{number}"}}\n'
            )
