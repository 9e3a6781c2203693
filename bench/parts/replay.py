"""Going over the whole log: the full audit in one and two processes, replay, and what others do without any check."""

from __future__ import annotations

from bench.audit import LONGEST, AuditCell

SIZES = (10_000, 100_000, 1_000_000)


def cells() -> list[AuditCell]:
    """Return the logs, the shortest first."""
    return [AuditCell(size=size) for size in SIZES]


def longest_cells() -> list[AuditCell]:
    """Return the log that takes a quarter of an hour and 15 GB to make."""
    return [AuditCell(size=LONGEST)]
