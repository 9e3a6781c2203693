"""What is made of a run: curves and the check of their growth, the chart, the Markdown tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from bench import command_line
from bench.aims import Aim
from bench.chart import chart
from bench.growth import allowed, curves, defects, growth
from bench.markdown import markdown
from bench.method import Measured, Observation, Sample
from bench.report import summary

SVG = "{http://www.w3.org/2000/svg}"
AIMS = (
    Aim(text="twice an ORM", cell="post <quickly>", way="orm", at_least=2.0),
    Aim(text="ten times Django", cell="post <quickly>", way="django", at_least=10.0),
)
SURROUNDINGS: dict[str, Any] = {
    "processors": 2,
    "machine": "x86_64",
    "mariadb": "10.11",
    "python": "3.11",
    "packages": {"pymysql": "1.2.4", "django": None},
    "commit": "abc",
}


def posting(**per_s: float) -> dict[str, Any]:
    samples = [
        Sample(way=way, round=1, seen=Observation(operations=1, per_s=rate, cpu_us={"python": 12.0}))
        for way, rate in per_s.items()
    ]
    return summary("posting", Measured(name="post <quickly>", ways=tuple(per_s), samples=samples))


def growing(*costs_us: tuple[int, float], name: str = "search, {}") -> list[dict[str, Any]]:
    """Make a measure's cells: sizes, and what one unit cost there."""
    return [
        summary(
            "search",
            Measured(
                name=name.format(f"{size:,} orders"),
                unit="events",
                ways=("ledger",),
                axis="orders",
                size=size,
                samples=[Sample(way="ledger", round=1, seen=Observation(operations=1, per_s=1_000_000 / cost_us))],
            ),
        )
        for size, cost_us in costs_us
    ]


def test_cells_that_differ_by_their_size_are_one_curve() -> None:
    (curve,) = curves([*growing((1_000_000, 200.0), (10_000, 100.0)), *growing((10_000, 5.0), name="alone, {}")])

    assert curve.measure == "search, n orders"
    assert [(point.size, round(point.unit_us)) for point in curve.points] == [(10_000, 100), (1_000_000, 200)]


def test_a_cell_without_a_size_or_a_sample_is_on_no_curve() -> None:
    missing = summary("agent", Measured(name="x 10", ways=("ledger",), axis="orders", size=10))

    assert curves([posting(ledger=100.0), missing, missing]) == []


def test_n_log_n_lets_a_unit_cost_half_as_much_again_from_ten_thousand_to_a_million() -> None:
    assert allowed(10_000, 1_000_000) == pytest.approx(1.5)
    assert defects(growing((10_000, 100.0), (1_000_000, 150.0))) == []


def test_one_search_has_everything_before_it_and_may_cost_as_much() -> None:
    assert allowed(10_000, 1_000_000, "searches") == pytest.approx(150)
    assert allowed(10_000, 1_000_000, "orders") == pytest.approx(1.5)


def test_what_grows_faster_than_n_log_n_is_reported() -> None:
    (line,) = defects(growing((10_000, 100.0), (100_000, 150.0), (1_000_000, 300.0)))

    assert "search, n orders" in line and "3.00" in line and "1.50" in line


def test_growth_is_judged_from_ten_thousand_on_where_there_are_two_sizes_from_there() -> None:
    (curve,) = curves(growing((1_000, 10.0), (10_000, 100.0), (1_000_000, 110.0)))
    (small,) = curves(growing((100, 10.0), (1_000, 11.0)))

    assert (growth(curve).size_from, growth(curve).is_defect) == (10_000, False)
    assert growth(small).size_from == 100


def test_the_chart_has_a_bar_for_each_ratio_and_a_mark_for_each_aim() -> None:
    root = ElementTree.fromstring(chart([posting(ledger=100.0, orm=40.0, django=20.0)], AIMS))

    bars = root.findall(f"{SVG}rect")
    assert [bar.get("class") for bar in bars] == ["bar", "missed"]
    assert len([line for line in root.iter(f"{SVG}line") if line.get("class") == "aim"]) == 2
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "post <quickly> / orm" in texts and "2.50" in texts and "5.00" in texts


def test_the_chart_has_a_panel_for_each_curve_and_shows_which_is_too_steep() -> None:
    steep = growing((10_000, 100.0), (1_000_000, 900.0), name="steep, {}")
    root = ElementTree.fromstring(chart([*growing((10_000, 100.0), (1_000_000, 120.0)), *steep], ()))

    kinds = [line.get("class") for line in root.iter(f"{SVG}polyline")]
    assert kinds == ["bound", "line", "bound", "defect"]
    assert len(list(root.iter(f"{SVG}circle"))) == 4
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    for circle in root.iter(f"{SVG}circle"):
        assert 0 < float(str(circle.get("cx"))) < width and 0 < float(str(circle.get("cy"))) < height


def test_a_run_without_ratios_or_curves_is_an_empty_chart() -> None:
    assert ElementTree.fromstring(chart([], AIMS)).find(f"{SVG}rect") is None


def test_the_markdown_has_the_aims_first_and_a_table_for_each_part() -> None:
    run = [posting(ledger=100.0, orm=40.0, django=20.0), *growing((10_000, 100.0), (1_000_000, 900.0))]

    text = markdown(run, AIMS, SURROUNDINGS)

    headings = [line for line in text.splitlines() if line.startswith("### ")]
    assert headings == ["### Aims", "### Posting", "### Search", "### Growth"]
    assert "| twice an ORM | post <quickly> | orm | ≥ 2 | 2.50 | reached |" in text
    assert "| ten times Django | post <quickly> | django | ≥ 10 | 5.00 | **missed** |" in text
    assert "| search, n orders | orders | 10,000: 100, 1,000,000: 900 | 9.00 | 1.50 | **defect** |" in text


def test_an_earlier_run_is_drawn_again_without_measuring(tmp_path: Path) -> None:
    run = [posting(ledger=100.0, orm=40.0), *growing((10_000, 100.0), (1_000_000, 900.0))]
    earlier, drawn, tables = tmp_path / "run.json", tmp_path / "run.svg", tmp_path / "run.md"
    earlier.write_text(json.dumps({"surroundings": SURROUNDINGS, "cells": run}))

    arguments = ["--of", str(earlier), "--chart", str(drawn), "--markdown", str(tables)]
    result = CliRunner().invoke(command_line.main, arguments)

    assert result.exit_code == 0, result.output
    assert "DEFECT search, n orders" in result.output
    assert ElementTree.parse(drawn).getroot().tag == f"{SVG}svg"
    assert "### Growth" in tables.read_text()
