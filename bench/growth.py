"""How the cost of a unit grows with what there is: curves from a run's results, and the check that n log n bounds them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.method import OURS

SIZE_FROM = 10_000
"""Growth is judged from here on; below, what a call costs at all hides it."""
TOLERANCE = 1.3
"""What the same unit may cost more in another sample of the same size."""

WHOLES = frozenset({"searches"})
"""Units that each have everything before them: one may cost n log n. Of others there are n, and all of them together may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one unit cost in microseconds at a size."""

    size: int
    unit_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One measure of the ledger at growing sizes: `axis` is what grows, `unit` what is done."""

    measure: str
    axis: str
    unit: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How much dearer a unit became from a curve's first judged size to its last, and what n log n allows."""

    measured: float
    allowed: float
    size_from: int
    size_to: int

    @property
    def is_defect(self) -> bool:
        """Is it beyond n log n and the tolerance?"""
        return self.measured > self.allowed * TOLERANCE


def curves(summaries: Sequence[dict[str, Any]]) -> list[Curve]:
    """Return the curves of a run: cells whose names differ by their size alone, measured at two sizes or more."""
    points: dict[tuple[str, str, str], dict[int, float]] = {}
    for each in summaries:
        ours = each["ways"].get(OURS, {"missing": ""})
        if each["axis"] is None or each["size"] is None or "missing" in ours:
            continue
        key = _measure(each["name"], each["size"]), each["axis"], each["unit"]
        points.setdefault(key, {})[each["size"]] = 1_000_000 / ours["per_s"]["median"]
    return [
        Curve(
            measure=measure,
            axis=axis,
            unit=unit,
            points=tuple(Point(size=size, unit_us=unit_us) for size, unit_us in sorted(found.items())),
        )
        for (measure, axis, unit), found in points.items()
        if len(found) > 1
    ]


def growth(curve: Curve) -> Growth:
    """Compare a curve's largest size with SIZE_FROM, or with its smallest size when it has none that large."""
    judged = [point for point in curve.points if point.size >= SIZE_FROM]
    first, last = (judged if len(judged) > 1 else curve.points)[0], curve.points[-1]
    return Growth(
        measured=last.unit_us / first.unit_us,
        allowed=allowed(first.size, last.size, curve.unit),
        size_from=first.size,
        size_to=last.size,
    )


def allowed(size_from: int, size_to: int, unit: str = "") -> float:
    """Return how much dearer a unit may become by n log n."""
    dearer = math.log(size_to) / math.log(max(2, size_from))
    return dearer * size_to / size_from if unit in WHOLES else dearer


def defects(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each curve that grows faster than n log n."""
    lines = []
    for curve in curves(summaries):
        found = growth(curve)
        if found.is_defect:
            lines.append(
                f"DEFECT {curve.measure}: a unit costs {found.measured:.2f} times as much at {found.size_to:,} "
                f"{curve.axis} as at {found.size_from:,}; n log n allows {found.allowed:.2f}"
            )
    return lines


def _measure(name: str, size: int) -> str:
    return name.replace(f"{size:,}", "n").replace(str(size), "n")
