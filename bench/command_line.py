"""`python -m bench`: choose the parts, measure, write one JSON document, print one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.aims import AIMS
from bench.chart import chart
from bench.growth import defects
from bench.markdown import markdown
from bench.method import Cell, Method
from bench.parts import agent, batches, http, posting, projections, replay
from bench.parts import search as search_part
from bench.report import aims_table, summary, table
from bench.server import measured_servers, surroundings

PARTS: dict[str, Callable[[], Sequence[Cell]]] = {
    "posting": posting.cells,
    "batch": batches.cells,
    "projections": projections.cells,
    "search": search_part.cells,
    "http": http.cells,
    "agent": agent.cells,
    "replay": replay.cells,
    "replay-10m": replay.longest_cells,
}
ON_REQUEST = frozenset({"replay-10m"})
"""Parts that are measured only when they are named."""
FULL = Method(rounds=5, seconds=3.0, quiet_wait_s=5.0)
QUICK = Method(rounds=1, seconds=0.8, quiet_wait_s=0.0, quick=True)
TABLE_COLUMNS_MIN = 160
_FILE = click.Path(dir_okay=False, path_type=Path)
LATEST = Path(__file__).resolve().parent / "results" / "latest.json"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Measure this part; repeatable.")
@click.option("--cell", "words", multiple=True, help="Measure only cells whose name has these words; repeatable.")
@click.option("--quick", is_flag=True, help="One short round of the main loads: under three minutes, and hints only.")
@click.option("--rounds", type=click.IntRange(1, 100), help=f"Rounds a cell. [default: {FULL.rounds}]")
@click.option("--seconds", type=click.FloatRange(0.1, 600), help=f"Seconds a sample. [default: {FULL.seconds:g}]")
@click.option(
    "--output", type=_FILE, default=LATEST, show_default="bench/results/latest.json", help="Where the JSON goes."
)
@click.option("--chart", "chart_file", type=_FILE, help="Where the chart goes.  [default: beside the JSON, .svg]")
@click.option("--markdown", "markdown_file", type=_FILE, help="Write the tables as Markdown here too.")
@click.option("--of", "earlier", type=_FILE, help="Measure nothing: show, draw and write what this JSON file has.")
def main(
    *,
    parts: Sequence[str],
    words: Sequence[str],
    quick: bool,
    rounds: int | None,
    seconds: float | None,
    output: Path,
    chart_file: Path | None,
    markdown_file: Path | None,
    earlier: Path | None,
) -> None:
    """Measure the ledger beside other ways, on a private MariaDB and Redis.

    Prints a table of all ways, one of the aims, and a line for everything that grows faster than n log n; writes every
    sample as JSON and draws a chart.
    """
    console = _console()
    if earlier is not None:
        _show(console, json.loads(earlier.read_text(encoding="utf-8")), chart_file, markdown_file)
        return
    default = QUICK if quick else FULL
    method = Method(
        rounds=rounds or default.rounds,
        seconds=seconds or default.seconds,
        quiet_wait_s=default.quiet_wait_s,
        quick=quick,
    )
    chosen = [
        (part, cell) for part in parts or [each for each in PARTS if each not in ON_REQUEST] for cell in PARTS[part]()
    ]
    chosen = [(part, cell) for part, cell in chosen if not words or any(word in cell.name for word in words)]
    summaries: list[dict[str, Any]] = []
    with measured_servers() as servers, _progress(console) as progress:
        document = {"surroundings": surroundings(servers), "rounds": method.rounds, "seconds": method.seconds}
        task = progress.add_task("", total=len(chosen))
        for part, cell in chosen:
            measured = cell.measure(servers, method, lambda description: progress.update(task, description=description))
            summaries.append(summary(part, measured))
            progress.advance(task)
            # After every cell, so that an interrupted run leaves what it has.
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps({**document, "cells": summaries}, indent=1) + "\n", encoding="utf-8")
    _show(console, {**document, "cells": summaries}, chart_file or output.with_suffix(".svg"), markdown_file)
    console.print(f"all books proved; every sample is in {output}")


def _show(console: Console, document: dict[str, Any], chart_file: Path | None, markdown_file: Path | None) -> None:
    summaries = document["cells"]
    console.print(table(summaries))
    console.print(aims_table(AIMS, summaries))
    for line in defects(summaries):
        console.print(line, style="bold red")
    if chart_file is not None:
        chart_file.write_text(chart(summaries, AIMS), encoding="utf-8")
        console.print(f"the chart is in {chart_file}")
    if markdown_file is not None:
        markdown_file.write_text(markdown(summaries, AIMS, document["surroundings"]), encoding="utf-8")
        console.print(f"the tables are in {markdown_file}")


def _console() -> Console:
    # A table cut to the columns of a narrow terminal or a pipe could not be read.
    return Console(width=max(Console().width, TABLE_COLUMNS_MIN))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<55}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
