"""What the samples come to: medians with their spread, ratios round by round, tables, one JSON document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.table import Table

from bench.aims import Aim, Verdict, verdict
from bench.method import OURS, Measured, Sample

OTHERS_CORES_MAX = 0.5
"""A sample during which the machine's other users took more than this says too little."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median between its extremes."""

    median: float
    min: float
    max: float

    def __str__(self) -> str:
        return f"{figure(self.median)} ({figure(self.min)}–{figure(self.max)})"


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the extremes."""
    return Spread(median=median(values), min=min(values), max=max(values))


def is_quiet(sample: Sample) -> bool:
    """Say whether the machine was nearly the measurement's own."""
    return sample.seen.others_cores <= OTHERS_CORES_MAX


def summary(part: str, measured: Measured) -> dict[str, Any]:
    """Return a cell's figures and all its samples, JSON-ready."""
    return {
        "part": part,
        "name": measured.name,
        "unit": measured.unit,
        "axis": measured.axis,
        "size": measured.size,
        "ways": {way: _of_way(measured, way) for way in measured.ways},
        "samples": [dataclasses.asdict(sample) for sample in measured.samples],
    }


def table(summaries: Sequence[dict[str, Any]]) -> Table:
    """Return one table: a line for each way of each cell."""
    lines = Table(
        title="medians (min–max) of quiet rounds; ratio: the ledger to this way in one round", title_justify="left"
    )
    lines.add_column("measure")
    lines.add_column("way")
    for heading in ("ratio", "a second", "p50 / p99 ms", "CPU µs each", "more", "others", "quiet"):
        lines.add_column(heading, justify="right", no_wrap=heading not in ("CPU µs each", "more"))
    for each in summaries:
        for index, (way, figures) in enumerate(each["ways"].items()):
            lines.add_row(f"{each['name']} ({each['unit']})" if index == 0 else "", way, *_texts(figures))
        lines.add_section()
    return lines


def aims_table(aims: Sequence[Aim], summaries: Sequence[dict[str, Any]]) -> Table:
    """Return the aims beside what this run measured; those whose cell did not run say so."""
    lines = Table(title="aims", title_justify="left")
    for heading in ("aim", "measure", "wanted", "measured", ""):
        lines.add_column(heading)
    for aim in aims:
        found = verdict(aim, summaries)
        lines.add_row(aim.text, aim.cell, aim.wanted, *_judged(found))
    return lines


def _judged(found: Verdict | None) -> tuple[str, str]:
    if found is None:
        return "not in this run", ""
    return figure(found.value), "reached" if found.is_reached else "missed"


def _of_way(measured: Measured, way: str) -> dict[str, Any]:
    if way in measured.missing:
        return {"missing": measured.missing[way]}
    ours = {sample.round: sample for sample in measured.samples if sample.way == OURS}
    samples = [sample for sample in measured.samples if sample.way == way]
    if not samples:
        return {"missing": "not measured"}
    quiet = [sample for sample in samples if is_quiet(sample) and is_quiet(ours.get(sample.round, sample))]
    rounds = f"{len(quiet)} of {len(samples)}"
    # Better a noisy figure than none; the number of quiet rounds says which it is.
    samples = quiet or samples
    seen = [sample.seen for sample in samples]
    figures: dict[str, Any] = {
        "per_s": _spread(each.per_s for each in seen),
        "p50_ms": _spread(each.p50_ms for each in seen),
        "p99_ms": _spread(each.p99_ms for each in seen),
        "others_cores": _spread(each.others_cores for each in seen),
        "cpu_us": {name: _spread(each.cpu_us.get(name) for each in seen) for name in seen[0].cpu_us},
        "more": {name: _spread(each.more.get(name) for each in seen) for name in seen[0].more},
        "quiet_rounds": rounds,
        "proved": measured.proved.get(way),
    }
    compared = [sample for sample in samples if sample.round in ours]
    if way != OURS and compared:
        figures["ratio"] = _spread(ours[each.round].seen.per_s / each.seen.per_s for each in compared)
    return figures


def _spread(values: Any) -> dict[str, float] | None:
    known = [each for each in values if each is not None]
    return dataclasses.asdict(spread(known)) if known else None


def _texts(figures: dict[str, Any]) -> list[str]:
    if "missing" in figures:
        return [figures["missing"]]
    waits = [figures["p50_ms"], figures["p99_ms"]]
    return [
        str(Spread(**figures["ratio"])) if "ratio" in figures else "",
        str(Spread(**figures["per_s"])),
        "" if None in waits else " / ".join(figure(each["median"]) for each in waits),
        " + ".join(f"{figure(each['median'])} {name}" for name, each in figures["cpu_us"].items() if each is not None),
        ", ".join(f"{name} {figure(each['median'])}" for name, each in figures["more"].items() if each is not None),
        figure(figures["others_cores"]["median"]),
        figures["quiet_rounds"],
    ]


def figure(value: float) -> str:
    """Return a figure with as many digits as it deserves."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
