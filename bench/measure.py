"""The method: every way of a cell is measured in every round, one after the other, and compared within the round.

A cell is a load (callers, processes, accounts, batch) and the ways that stand it in turn. Each way has a database and
load processes of its own that stay for all rounds, so that a round only alternates. Ratios are made of two samples of the
same round; a neighbour on the machine that stays for a round then burdens both.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import processor
from bench.processes import LoadProcess
from bench.server import MeasuredServer
from bench.ways import is_installed

WARM_UP_S = 0.5
QUIET_CORES_MAX = 0.3
QUIET_LOOK_S = 0.4
RAW_POSTS_PER_S_MAX = 50_000
"""How much is made ready for a sample of bare inserts; a faster one ends when it has used that up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One load; `callers` are those of all processes together."""

    name: str
    ways: Sequence[str]
    callers: int = 1
    processes: int = 1
    accounts: int = 10_000
    batch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How often and how long; `quiet_wait_s` is how long a sample may wait for the machine's other users to pause."""

    rounds: int
    seconds: float
    quiet_wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One way in one round. Processor times are for one command; `others_cores` is what everything else used."""

    way: str
    round: int
    posts: int
    posts_per_s: float
    wait_ms_p50: float
    wait_ms_p99: float
    python_us: float
    server_us: float
    others_cores: float
    group: float | None
    round_trips: float | None
    load_average: list[float]


@dataclass(slots=True)
class Measured:
    """A cell with its samples, the ways that could not be measured and why, and how many posts were proved."""

    cell: Cell
    samples: list[Sample] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    proved: dict[str, int] = field(default_factory=dict)


def measure(server: MeasuredServer, cell: Cell, method: Method, progress: Callable[[str], None]) -> Measured:
    """Measure a cell and prove every way's books afterwards. Raises LoadFailed, AssertionError."""
    measured = Measured(cell, missing={way: "not installed" for way in cell.ways if not is_installed(way)})
    with contextlib.ExitStack() as stack:
        loads: dict[str, list[LoadProcess]] = {}
        for way in cell.ways:
            if way not in measured.missing:
                progress(f"{cell.name}: preparing {way}")
                loads[way] = stack.enter_context(_loads(server, cell, way))
        posted = dict.fromkeys(loads, 0)
        for round_number in range(1, method.rounds + 1):
            # The order turns, so that no way always follows the same other.
            ways = list(loads)
            turn = round_number % len(ways)
            for way in ways[turn:] + ways[:turn]:
                progress(f"{cell.name}: round {round_number}, {way}")
                answers, load_average = _run(loads[way], cell, method)
                posted[way] += sum(answer["posts"] + answer["posts_warming"] for answer in answers)
                measured.samples.append(_sample(way, round_number, answers, load_average))
        for way in loads:
            progress(f"{cell.name}: proving {way}")
            proved = sum(load.ask("check") for load in loads[way]) if way == "raw" else loads[way][0].ask("check")
            assert proved == posted[way], f"{way} says it posted {posted[way]}, its books hold {proved}"
            measured.proved[way] = proved
    return measured


def wait_until_quiet(limit_s: float) -> None:
    """Wait until the machine is nearly idle, but no longer than this."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = processor.machine_s()
        time.sleep(QUIET_LOOK_S)
        if (processor.machine_s() - before) / QUIET_LOOK_S < QUIET_CORES_MAX:
            return


@contextlib.contextmanager
def _loads(server: MeasuredServer, cell: Cell, way: str) -> Iterator[list[LoadProcess]]:
    name, url = server.fresh_database()
    order = {
        "way": way,
        "url": url,
        "accounts": cell.accounts,
        "callers": cell.callers // cell.processes,
        "batch": cell.batch,
        "server_pid": server.pid,
    }
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(LoadProcess(order)) for _ in range(cell.processes)]
        loads[0].ask("create")
        yield loads
    server.drop_database(name)


def _run(loads: Sequence[LoadProcess], cell: Cell, method: Method) -> tuple[list[dict[str, Any]], list[float]]:
    posts = max(cell.batch, round(RAW_POSTS_PER_S_MAX * (method.seconds + WARM_UP_S)))
    for load in loads:
        load.ask("ready", posts=posts)
    wait_until_quiet(method.quiet_wait_s)
    load_average = processor.load_average()
    warm_until = time.monotonic() + WARM_UP_S
    for load in loads:
        load.send("load", warm_until=warm_until, seconds=method.seconds)
    return [load.receive() for load in loads], load_average


def _sample(way: str, round_number: int, answers: Sequence[dict[str, Any]], load_average: list[float]) -> Sample:
    posts = sum(answer["posts"] for answer in answers)
    waits_us = sorted(wait for answer in answers for wait in answer["waits_us"])
    # Every process sees the same server and machine; the first one's look at them stands for all.
    first = answers[0]
    own_s = sum(answer["own_s"] for answer in answers)
    others_s = max(0.0, first["machine_s"] - own_s - first["server_s"])
    groups = sum(answer.get("groups", 0) for answer in answers)
    return Sample(
        way=way,
        round=round_number,
        posts=posts,
        posts_per_s=sum(answer["posts"] / answer["monotonic"] for answer in answers),
        wait_ms_p50=_quantile(waits_us, 0.50) / 1000,
        wait_ms_p99=_quantile(waits_us, 0.99) / 1000,
        python_us=own_s / posts * 1_000_000,
        server_us=first["server_s"] / posts * 1_000_000,
        others_cores=others_s / first["monotonic"],
        group=sum(answer["commands"] for answer in answers) / groups if groups else None,
        round_trips=sum(answer["round_trips"] for answer in answers) / groups if groups else None,
        load_average=load_average,
    )


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
