"""The method: every way of a cell is measured in every round, one after the other, and compared within the round.

A cell is one load and the ways that stand it in turn; what a way needs (a database, processes) stays for all rounds, so
that a round only alternates. Ratios are made of two samples of the same round; a neighbour on the machine that stays for
a round then burdens both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench import processor

if TYPE_CHECKING:
    from bench.server import Servers

QUIET_CORES_MAX = 0.3
QUIET_LOOK_S = 0.4
OURS = "ledger"
"""The way that the others are compared with."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How often and how long; `quiet_wait_s` is how long a sample may wait for the machine's other users to pause.

    `quick`: loads of a size that would take minutes to make are made smaller, or left out.
    """

    rounds: int
    seconds: float
    quiet_wait_s: float
    quick: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one sample came to.

    `cpu_us`: processor time for one operation by kind of process (python, mariadbd, redis …). `others_cores`: how many
    processors everything else used meanwhile. `more`: further figures by name, such as group or bytes_per_order.
    """

    operations: int
    per_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    others_cores: float = 0.0
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One way in one round."""

    way: str
    round: int
    seen: Observation
    load_average: Sequence[float] = ()


class Contestant(Protocol):
    """A way under one load, set up and ready to be measured again and again."""

    @property
    def way(self) -> str:
        """Its name."""

    def make_ready(self, seconds: float) -> None:
        """Do what must not be timed before a sample of this length."""

    def sample(self, seconds: float) -> Observation:
        """Work for about so long (one pass, when that is the unit) and return what it came to."""

    def prove(self) -> int:
        """Check that its books are right and return how many operations they hold. Raises AssertionError."""


@dataclass(slots=True, kw_only=True)
class Measured:
    """A cell's samples, the ways that could not be measured and why, and how many operations were proved.

    `unit`: what `per_s` counts. `axis` and `size`: what grows and how large it was here; cells whose names differ only by
    the size, written with its commas, are one curve.
    """

    name: str
    unit: str = "commands"
    ways: Sequence[str]
    axis: str | None = None
    size: int | None = None
    samples: list[Sample] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    proved: dict[str, int] = field(default_factory=dict)


class Cell(Protocol):
    """One load that can be measured."""

    @property
    def name(self) -> str:
        """What the table calls it; unique over all parts."""

    def measure(self, servers: Servers, method: Method, progress: Progress) -> Measured:
        """Measure every way that is installed, and prove what they did. Raises AssertionError."""


def run_rounds(measured: Measured, contestants: Sequence[Contestant], method: Method, progress: Progress) -> None:
    """Sample all contestants in every round, in turning order, then prove them; `measured` gets the results."""
    for round_number in range(1, method.rounds + 1):
        # The order turns, so that no way always follows the same other.
        turn = round_number % len(contestants)
        for each in [*contestants[turn:], *contestants[:turn]]:
            progress(f"{measured.name}: round {round_number}, {each.way}")
            each.make_ready(method.seconds)
            wait_until_quiet(method.quiet_wait_s)
            load_average = processor.load_average()
            seen = each.sample(method.seconds)
            measured.samples.append(Sample(way=each.way, round=round_number, seen=seen, load_average=load_average))
    for each in contestants:
        progress(f"{measured.name}: proving {each.way}")
        measured.proved[each.way] = each.prove()


def wait_until_quiet(limit_s: float) -> None:
    """Wait until the machine is nearly idle, but no longer than this."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = processor.machine_s()
        time.sleep(QUIET_LOOK_S)
        if (processor.machine_s() - before) / QUIET_LOOK_S < QUIET_CORES_MAX:
            return


def quantile_ms(ordered_us: Sequence[float], share: float) -> float | None:
    """Return a quantile of ascending microseconds, in milliseconds; None of nothing."""
    if not ordered_us:
        return None
    return ordered_us[min(len(ordered_us) - 1, int(len(ordered_us) * share))] / 1_000
