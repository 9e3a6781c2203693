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
    return [
        ReadingCell(name="read the log", events=APPLIED_EVENTS),
        *(ProjectionCell(name=f"apply {each}", projection=each, events=APPLIED_EVENTS) for each in PROJECTIONS),
        *(
            ProjectionCell(name=f"drain {each}", projection=each, events=APPLIED_EVENTS, reads=True)
            for each in PROJECTIONS
        ),
        LagCell(name="lag at half the write ceiling"),
        *(_rebuild(each, events) for each in PROJECTIONS for events in SIZES),
    ]


def _rebuild(projection: str, events: int) -> ProjectionCell:
    return ProjectionCell(
        name=f"rebuild {projection}, {events:,} events",
        projection=projection,
        events=events,
        ways=("ledger",),
        reads=True,
        axis=f"events of a rebuild of {projection}",
        rounds_max=2 if events == SIZES[0] else 1,
    )
