"""What the ledger should reach, each aim with the place of its figure in a run's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A bound on one figure: of `way` in the cell named `cell`.

    `figure` is ``ratio`` (the ledger to the way), ``per_s``, ``p50_ms``, ``p99_ms``, or the name of one of the `more`.
    """

    text: str
    cell: str
    way: str
    figure: str = "ratio"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def wanted(self) -> str:
        """The bound in words."""
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run measured of an aim."""

    value: float
    is_reached: bool


def verdict(aim: Aim, summaries: Sequence[dict[str, Any]]) -> Verdict | None:
    """Return what the run came to; None when it did not measure that."""
    for each in summaries:
        if each["name"] == aim.cell and "missing" not in each["ways"].get(aim.way, {"missing": ""}):
            figures = each["ways"][aim.way]
            found = figures.get(aim.figure) or figures["more"].get(aim.figure)
            if found is None:
                return None
            value = found["median"]
            reached = value >= aim.at_least if aim.at_least is not None else value <= (aim.at_most or 0.0)
            return Verdict(value=value, is_reached=reached)
    return None


POSTING = (
    Aim(text="two processes against Django", cell="post, 32 callers, 2 processes", way="django", at_least=8),
    Aim(text="two processes against Django", cell="post, 64 callers, 2 processes", way="django", at_least=12),
    Aim(text="two processes against an ORM", cell="post, 32 callers, 2 processes", way="orm", at_least=9),
    Aim(text="hot account against an ORM", cell="hot account, 32 callers, 1 process", way="orm", at_least=19),
    Aim(text="one caller against Django", cell="post, 1 caller, 1 process", way="django", at_least=1),
    Aim(text="one caller against an ORM", cell="post, 1 caller, 1 process", way="orm", at_least=1),
    Aim(text="what the promises cost", cell="promises, 32 callers, 1 process", way="bare ledger", at_least=0.9),
    Aim(text="what the promises cost in batches", cell="promises, batch of 1,000", way="bare ledger", at_least=0.9),
    Aim(text="batch against the bare INSERT", cell="batch of 1,000, 1 caller", way="raw", at_least=0.65),
)

PROJECTIONS = (
    *(
        Aim(text="read model against one pipeline", cell=f"apply {name}", way="pipeline", at_least=4)
        for name in ("balances", "orders", "transactions")
    ),
    Aim(text="lag", cell="lag at half the write ceiling", way="ledger", figure="p99_ms", at_most=100),
    Aim(
        text="memory of a transaction",
        cell="rebuild transactions, 1,000,000 events",
        way="ledger",
        figure="bytes_per_transaction",
        at_most=250,
    ),
)

HTTP = (
    Aim(text="against validation only", cell="HTTP post, 64 connections", way="validation", at_least=0.6),
    Aim(text="over HTTP against Django", cell="HTTP post, 64 connections", way="django", at_least=7),
    Aim(
        text="p99 of a post over HTTP, ms", cell="HTTP post, 64 connections", way="ledger", figure="p99_ms", at_most=60
    ),
    Aim(
        text="batch over HTTP against the bare INSERT",
        cell="HTTP batch of 1,000, 4 connections",
        way="raw",
        at_least=0.5,
    ),
    Aim(text="batch over HTTP against an ORM", cell="HTTP batch of 1,000, 4 connections", way="orm", at_least=8),
)

AGENT = (
    Aim(
        text="many calls in flight in one worker process",
        cell="agent, http 50 ms, 10,000 orders",
        way="ledger",
        figure="in_flight",
        at_least=32,
    ),
    Aim(
        text="the ledger's part of the agent's time",
        cell="agent, http 50 ms, 10,000 orders",
        way="commands",
        at_most=0.5,
    ),
    Aim(
        text="the agent against one order after the other",
        cell="agent, http 50 ms, 10,000 orders",
        way="one by one",
        at_least=10,
    ),
)

_ANY = "search, any combination of filters, 1,000,000 orders"
SEARCH = (
    Aim(text="any combination, median in ms", cell=_ANY, way="ledger", figure="p50_ms", at_most=1),
    Aim(text="any combination, 99 of 100 in ms", cell=_ANY, way="ledger", figure="p99_ms", at_most=5),
    Aim(text="longest call that Redis saw, in ms", cell=_ANY, way="ledger", figure="longest_call_ms", at_most=5),
    Aim(text="bytes an order in the index", cell=_ANY, way="ledger", figure="bytes_per_order", at_most=200),
    Aim(text="page 100 to page 1", cell="search, page 100", way="ledger", figure="to_page_1", at_most=2),
)

_MILLION, _TEN_MILLION = "audit, 1,000,000 events", "audit, 10,000,000 events"
AUDIT = (
    Aim(text="full audit against plain replay", cell=_MILLION, way="eventsourcing", at_least=6),
    Aim(
        text="the same with mysqlclient",
        cell=_MILLION,
        way="ledger, mysqlclient",
        figure="times_plain_replay",
        at_least=9,
    ),
    Aim(text="10 million events in 60 s", cell=_TEN_MILLION, way="ledger", figure="per_s", at_least=166_667),
)

AIMS: tuple[Aim, ...] = (*POSTING, *PROJECTIONS, *SEARCH, *HTTP, *AGENT, *AUDIT)
"""All of them, in the order of the documentation."""
