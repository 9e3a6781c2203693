"""A run as Markdown for the documentation: the aims first, then a table for each part, then how costs grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.aims import Aim, verdict
from bench.growth import curves, growth
from bench.report import Spread, figure


def markdown(summaries: Sequence[dict[str, Any]], aims: Sequence[Aim], surroundings: dict[str, Any]) -> str:
    """Return the document: tables alone, each under a heading of its own."""
    tables = [_surroundings(surroundings), _aims(summaries, aims)]
    parts = dict.fromkeys(each["part"] for each in summaries)
    tables += [_part(part, [each for each in summaries if each["part"] == part]) for part in parts]
    tables.append(_growth(summaries))
    return "\n\n".join(table for table in tables if table) + "\n"


def _surroundings(surroundings: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in surroundings["packages"].items() if version)
    return (
        f"{surroundings['processors']} processors ({surroundings['machine']}), MariaDB {surroundings['mariadb']}, "
        f"Python {surroundings['python']}, {packages}; commit {surroundings['commit']}."
    )


def _aims(summaries: Sequence[dict[str, Any]], aims: Sequence[Aim]) -> str:
    rows = []
    for aim in aims:
        found = verdict(aim, summaries)
        if found is None:
            rows.append((aim.text, aim.cell, aim.way, aim.wanted, "not in this run", ""))
        else:
            reached = "reached" if found.is_reached else "**missed**"
            rows.append((aim.text, aim.cell, aim.way, aim.wanted, figure(found.value), reached))
    return _table("Aims", ("aim", "measure", "way", "wanted", "measured", ""), rows)


def _part(part: str, summaries: Sequence[dict[str, Any]]) -> str:
    headings = ("load", "way", "**ledger to it**", "a second", "p50 / p99 ms", "CPU µs each", "more")
    return _table(part.capitalize(), headings, [row for each in summaries for row in _rows(each)])


def _rows(summary: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for index, (way, figures) in enumerate(summary["ways"].items()):
        name = f"{summary['name']} ({summary['unit']})" if index == 0 else ""
        if "missing" in figures:
            yield name, way, "", figures["missing"], "", "", ""
            continue
        waits = [figures["p50_ms"], figures["p99_ms"]]
        yield (
            name,
            way,
            f"**{figure(figures['ratio']['median'])}** ({_range(figures['ratio'])})" if figures.get("ratio") else "",
            str(Spread(**figures["per_s"])),
            "" if None in waits else " / ".join(figure(each["median"]) for each in waits),
            _medians(figures["cpu_us"], " + "),
            _medians(figures["more"], ", "),
        )


def _growth(summaries: Sequence[dict[str, Any]]) -> str:
    rows = []
    for curve in curves(summaries):
        found = growth(curve)
        costs = ", ".join(f"{point.size:,}: {figure(point.unit_us)}" for point in curve.points)
        verdict_ = "**defect**" if found.is_defect else ""
        rows.append((curve.measure, curve.axis, costs, figure(found.measured), figure(found.allowed), verdict_))
    headings = ("measure", "what grows", "µs for one", "times dearer", "n log n allows", "")
    return _table("Growth", headings, rows) if rows else ""


def _medians(figures: dict[str, Any], between: str) -> str:
    return between.join(f"{name} {figure(each['median'])}" for name, each in figures.items() if each is not None)


def _range(spread: dict[str, float]) -> str:
    return f"{figure(spread['min'])}–{figure(spread['max'])}"


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"### {title}", "", _line(headings), "|" + "---|" * len(headings), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
