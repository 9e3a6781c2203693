"""Cells of HTTP: each way behind a server of its own, with a database of its own, under the same closed-loop load."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench import posting, processor
from bench.http import load
from bench.http.api import measured_api
from bench.http.load import Load
from bench.http.servers import Server, serve_baseline
from bench.method import OURS, Contestant, Measured, Method, Observation, Progress, run_rounds
from bench.posting import PostingCell
from bench.processes import LoadProcess
from bench.server import Servers
from bench.ways import WAYS, is_installed

ACCOUNTS = 10_000
ROUNDS_MAX = 3
SECONDS_MAX = 2.0
WARM_UP_S = 1.0
LEFT_OUT = "not in the quick form"
NO_STORAGE = ("flask", "validation")
RAW = "raw"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCell:
    """One load over so many connections; `size` commands a batch. The way ``raw`` is measured in process."""

    name: str
    ways: Sequence[str]
    kind: str = "single"
    connections: int = 1
    size: int = 1
    accounts: int = ACCOUNTS
    in_quick: bool = False

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure all ways and prove what they did. Raises LoadFailed, AssertionError."""
        missing = {way: "not installed" for way in self.ways if way in WAYS and not is_installed(way)}
        if method.quick and not self.in_quick:
            missing = dict.fromkeys(self.ways, LEFT_OUT)
        measured = Measured(name=self.name, ways=self.ways, missing=missing)
        cell = replace(self, accounts=min(self.accounts, posting.ACCOUNTS_QUICK)) if method.quick else self
        method = replace(method, rounds=min(method.rounds, ROUNDS_MAX), seconds=min(method.seconds, SECONDS_MAX))
        with contextlib.ExitStack() as stack:
            contestants: list[Contestant] = []
            for way in self.ways:
                if way not in missing:
                    progress(f"{self.name}: preparing {way}")
                    contestants.append(stack.enter_context(_contestant(servers, cell, way)))
            if contestants:
                run_rounds(measured, contestants, method, progress)
        return measured

    @property
    def load(self) -> Load:
        """What each way gets."""
        return Load(kind=self.kind, connections=self.connections, accounts=self.accounts, size=self.size)


class Served:
    """A way behind a server that listens."""

    def __init__(
        self,
        cell: HttpCell,
        way: str,
        server: Server,
        database_pid: int,
        held: Callable[[], int] | None = None,
        token: str = "none",
    ) -> None:
        self.way = way
        self._cell = cell
        self._server = server
        self._database_pid = database_pid
        self._held = held
        self._token = token
        self._answered = 0
        self._in_flight_max = 0

    def make_ready(self, seconds: float) -> None:
        """Warm the server up, once: its threads and connections come with the first requests."""
        if self._answered == 0:
            self._server.touch()
            self._run(min(seconds, WARM_UP_S))

    def sample(self, seconds: float) -> Observation:
        """Load the server."""
        before, started = self._used_s(), time.monotonic()
        came = self._run(seconds)
        used = {name: after - before[name] for name, after in self._used_s().items()}
        others_s = used.pop("machine") - sum(used.values())
        commands = came.requests * self._cell.size
        return Observation(
            operations=commands,
            per_s=commands / came.seconds,
            p50_ms=came.p50_ms,
            p99_ms=came.p99_ms,
            cpu_us={name: seconds / commands * 1e6 for name, seconds in used.items()},
            others_cores=max(0.0, others_s) / (time.monotonic() - started),
        )

    def prove(self) -> int:
        """Compare what the books hold with what was answered; what was on its way at an end may be held as well.

        The server ends first, so that nothing is on its way any more.
        """
        if self._held is None:
            return 0
        self._server.stop()
        held = self._held()
        size = self._cell.size
        assert self._answered * size <= held <= (self._answered + self._in_flight_max) * size, (held, self._answered)
        return held

    def _run(self, seconds: float) -> load.Came:
        came = load.run(self._cell.load, self._server.port, self._token, seconds)
        self._answered += came.requests
        self._in_flight_max += self._cell.connections
        return came

    def _used_s(self) -> dict[str, float]:
        return {
            "server": sum(map(processor.process_s, self._server.processes())),
            "mariadbd": processor.process_s(self._database_pid),
            "client": processor.children_s(),
            "machine": processor.machine_s(),
        }


@contextlib.contextmanager
def _contestant(servers: Servers, cell: HttpCell, way: str) -> Iterator[Contestant]:
    mariadb = servers.mariadb
    if way == RAW:
        in_process = PostingCell(name=cell.name, ways=(RAW,), batch=cell.size, accounts=cell.accounts)
        with posting.contestant(mariadb, in_process, RAW) as found:
            yield found
    elif way in NO_STORAGE:
        with serve_baseline(way, "") as server:
            yield Served(cell, way, server, mariadb.pid)
    elif way == OURS:
        with measured_api(servers, accounts=cell.accounts) as api:
            yield Served(cell, way, api.server, mariadb.pid, api.prove, api.token)
    else:
        with mariadb.database() as url:
            order = {"way": way, "url": url, "accounts": cell.accounts, "callers": 1, "batch": 1, "mixed": False}
            with LoadProcess(order | {"server_pid": mariadb.pid}) as books:
                books.ask("create")
                with serve_baseline(way, url) as server:
                    yield Served(cell, way, server, mariadb.pid, lambda: books.ask("check"))
