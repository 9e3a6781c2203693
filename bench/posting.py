"""Posting in process: closed-loop callers in load processes, each way with a database of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.method import Measured, Method, Observation, Progress, quantile_ms, run_rounds
from bench.processes import LoadProcess
from bench.server import MeasuredServer, Servers
from bench.ways import is_installed

WARM_UP_S = 0.5
ACCOUNTS_QUICK = 2_000
ACCOUNTS, POSTS_BEFORE = "accounts", "posts before"
RAW_POSTS_PER_S_MAX = 80_000
"""How much is made ready for a sample of bare inserts; a faster one ends when it has used that up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingCell:
    """One load; `callers` are those of all processes together. `mixed`: commands of every kind, not deductions alone.

    `log`: posts that are in the books before. `axis`: what grows from cell to cell, "posts before" or "accounts".
    `is_quick`: is it measured in the quick form too?
    """

    name: str
    ways: Sequence[str]
    callers: int = 1
    processes: int = 1
    accounts: int = 10_000
    batch: int = 1
    mixed: bool = False
    log: int = 0
    axis: str | None = None
    is_quick: bool = True

    @property
    def size(self) -> int | None:
        """How large it is here, what grows."""
        return {ACCOUNTS: self.accounts, POSTS_BEFORE: self.log}.get(self.axis or "")

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure a cell and prove every way's books afterwards. Raises LoadFailed, AssertionError."""
        missing = {way: "not installed" for way in self.ways if not is_installed(way)}
        measured = Measured(name=self.name, ways=self.ways, axis=self.axis, size=self.size, missing=missing)
        if method.quick and not self.is_quick:
            measured.missing = dict.fromkeys(self.ways, "not in the quick form")
            return measured
        cell = replace(self, accounts=min(self.accounts, ACCOUNTS_QUICK)) if method.quick else self
        with contextlib.ExitStack() as stack:
            contestants = []
            for way in self.ways:
                if way not in missing:
                    progress(f"{self.name}: preparing {way}")
                    contestants.append(stack.enter_context(contestant(servers.mariadb, cell, way)))
            run_rounds(measured, contestants, method, progress)
        return measured


class Posting:
    """A way of posting in its load processes."""

    def __init__(
        self, server: MeasuredServer, cell: PostingCell, way: str, loads: Sequence[LoadProcess], posted: int
    ) -> None:
        self.way = way
        self._server = server
        self._cell = cell
        self._loads = loads
        self._posted = posted

    def make_ready(self, seconds: float) -> None:
        """Have made what need not be made while the clock runs."""
        posts = max(self._cell.batch, round(RAW_POSTS_PER_S_MAX * (seconds + WARM_UP_S)))
        for load in self._loads:
            load.ask("ready", posts=posts)

    def sample(self, seconds: float) -> Observation:
        """Let all callers post."""
        commits, syncs = self._server.commits_and_syncs()
        warm_until = time.monotonic() + WARM_UP_S
        for load in self._loads:
            load.send("load", warm_until=warm_until, seconds=seconds)
        answers = [load.receive() for load in self._loads]
        self._posted += sum(answer["posts"] + answer["posts_warming"] for answer in answers)
        commits, syncs = (
            now - before for now, before in zip(self._server.commits_and_syncs(), (commits, syncs), strict=True)
        )
        return _observation(answers, {"syncs": syncs / commits} if commits else {})

    def prove(self) -> int:
        """Compare what the books hold with what was answered."""
        checking = self._loads if self.way == "raw" else self._loads[:1]
        proved: int = sum(load.ask("check") for load in checking)
        assert proved == self._posted, f"{self.way} says it posted {self._posted}, its books hold {proved}"
        return proved


@contextlib.contextmanager
def contestant(server: MeasuredServer, cell: PostingCell, way: str) -> Iterator[Posting]:
    """Set a way up with its load processes and its database, both gone with the context."""
    name, url = server.fresh_database()
    order = {
        "way": way,
        "url": url,
        "accounts": cell.accounts,
        "callers": cell.callers // cell.processes,
        "batch": cell.batch,
        "mixed": cell.mixed,
        "server_pid": server.pid,
    }
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(LoadProcess(order)) for _ in range(cell.processes)]
        loads[0].ask("create")
        posted = loads[0].ask("fill", posts=cell.log)
        yield Posting(server, cell, way, loads, posted)
    server.drop_database(name)


def _observation(answers: Sequence[dict[str, Any]], more: Mapping[str, float]) -> Observation:
    posts = sum(answer["posts"] for answer in answers)
    waits_us = sorted(wait for answer in answers for wait in answer["waits_us"])
    # Every process sees the same server and machine; the first one's look at them stands for all.
    first = answers[0]
    own_s = sum(answer["own_s"] for answer in answers)
    others_s = max(0.0, first["machine_s"] - own_s - first["server_s"])
    groups = sum(answer.get("groups", 0) for answer in answers)
    if groups:
        commands, trips = (sum(answer[each] for answer in answers) for each in ("commands", "round_trips"))
        more = {"group": commands / groups, "trips": trips / groups, **more}
    return Observation(
        operations=posts,
        per_s=sum(answer["posts"] / answer["monotonic"] for answer in answers),
        p50_ms=quantile_ms(waits_us, 0.50),
        p99_ms=quantile_ms(waits_us, 0.99),
        cpu_us={"python": own_s / posts * 1_000_000, "mariadbd": first["server_s"] / posts * 1_000_000},
        others_cores=others_s / first["monotonic"],
        more=more,
    )
