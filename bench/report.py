"""What the samples come to: medians with their spread, ratios round by round, one table, one JSON document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.table import Table

from bench.measure import Measured, Sample

OURS = "ledger"
OTHERS_CORES_MAX = 0.5
"""A sample during which the machine's other users took more than this says too little."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median between its extremes."""

    median: float
    min: float
    max: float

    def __str__(self) -> str:
        return f"{_figure(self.median)} ({_figure(self.min)}–{_figure(self.max)})"


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the extremes."""
    return Spread(median=median(values), min=min(values), max=max(values))


def is_quiet(sample: Sample) -> bool:
    """Say whether the machine was nearly the measurement's own."""
    return sample.others_cores <= OTHERS_CORES_MAX


def summary(measured: Measured) -> dict[str, Any]:
    """Return a cell's figures and all its samples, JSON-ready."""
    return {
        "cell": dataclasses.asdict(measured.cell),
        "ways": {way: _of_way(measured, way) for way in measured.cell.ways},
        "samples": [dataclasses.asdict(sample) for sample in measured.samples],
    }


def table(summaries: Sequence[dict[str, Any]]) -> Table:
    """Return one table: a line for each way of each cell."""
    lines = Table(
        title="medians (min–max) of quiet rounds; ratio: the ledger to this way in one round", title_justify="left"
    )
    lines.add_column("measure", no_wrap=True)
    lines.add_column("way")
    for heading in (
        "ratio",
        "commands/s",
        "p50 / p99 ms",
        "CPU µs python + mariadbd",
        "group",
        "trips",
        "others",
        "quiet",
    ):
        lines.add_column(heading, justify="right", no_wrap=heading != "CPU µs python + mariadbd")
    for each in summaries:
        for index, (way, figures) in enumerate(each["ways"].items()):
            lines.add_row(each["cell"]["name"] if index == 0 else "", way, *_texts(figures))
        lines.add_section()
    return lines


def _of_way(measured: Measured, way: str) -> dict[str, Any]:
    if way in measured.missing:
        return {"missing": measured.missing[way]}
    ours = {sample.round: sample for sample in measured.samples if sample.way == OURS}
    samples = [sample for sample in measured.samples if sample.way == way]
    quiet = [sample for sample in samples if is_quiet(sample) and is_quiet(ours.get(sample.round, sample))]
    rounds = f"{len(quiet)} of {len(samples)}"
    # Better a noisy figure than none; the number of quiet rounds says which it is.
    samples = quiet or samples
    figures: dict[str, Any] = {
        name: dataclasses.asdict(spread([getattr(sample, name) for sample in samples]))
        for name in ("posts_per_s", "wait_ms_p50", "wait_ms_p99", "python_us", "server_us", "others_cores")
    }
    figures["quiet_rounds"] = rounds
    figures["proved"] = measured.proved[way]
    figures["group"] = _median(samples, "group")
    figures["round_trips"] = _median(samples, "round_trips")
    if way != OURS:
        figures["ratio"] = dataclasses.asdict(
            spread([ours[sample.round].posts_per_s / sample.posts_per_s for sample in samples])
        )
    return figures


def _median(samples: Sequence[Sample], name: str) -> float | None:
    values = [getattr(sample, name) for sample in samples]
    return None if None in values else median(values)


def _texts(figures: dict[str, Any]) -> list[str]:
    if "missing" in figures:
        return [figures["missing"]]
    ratio, group, round_trips = figures.get("ratio"), figures["group"], figures["round_trips"]
    return [
        "" if ratio is None else str(Spread(**ratio)),
        str(Spread(**figures["posts_per_s"])),
        f"{_figure(figures['wait_ms_p50']['median'])} / {_figure(figures['wait_ms_p99']['median'])}",
        f"{_figure(figures['python_us']['median'])} + {_figure(figures['server_us']['median'])}",
        "" if group is None else _figure(group),
        "" if round_trips is None else _figure(round_trips),
        _figure(figures["others_cores"]["median"]),
        figures["quiet_rounds"],
    ]


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
