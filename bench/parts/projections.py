"""Read models: reading the log, applying it, both together, growth, and the lag behind a busy ledger."""

from __future__ import annotations

from bench.lag import LagCell
from bench.method import Cell
from bench.projections import ProjectionCell, ReadingCell

PROJECTIONS = ("balances", "orders", "transactions")
APPLIED_EVENTS = 20_000
SIZES = (10_000, 100_000, 1_000_000)


def cells() -> list[Cell]:
    """Return the loads."""
    found: list[Cell] = [ReadingCell(name="read the log", events=APPLIED_EVENTS)]
    for name in PROJECTIONS:
        found.append(ProjectionCell(name=f"apply {name}", projection=name, events=APPLIED_EVENTS))
    for name in PROJECTIONS:
        found.append(ProjectionCell(name=f"drain {name}", projection=name, events=APPLIED_EVENTS, reads=True))
    found.append(LagCell(name="lag at half the write ceiling"))
    for name in PROJECTIONS:
        for events in SIZES:
            found.append(
                ProjectionCell(
                    name=f"rebuild {name}, {events:,} events",
                    projection=name,
                    events=events,
                    ways=("ledger",),
                    reads=True,
                    axis=f"events of a rebuild of {name}",
                    rounds_max=2 if events == SIZES[0] else 1,
                )
            )
    return found
