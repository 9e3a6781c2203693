"""`python -m bench`: choose the parts, measure, write one JSON document, print one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.aims import AIMS
from bench.method import Cell, Method
from bench.parts import agent, batches, posting
from bench.report import aims_table, summary, table
from bench.server import measured_servers, surroundings

PARTS: dict[str, Callable[[], Sequence[Cell]]] = {
    "posting": posting.cells,
    "batch": batches.cells,
    "agent": agent.cells,
}
FULL = Method(rounds=5, seconds=3.0, quiet_wait_s=5.0)
QUICK = Method(rounds=2, seconds=0.8, quiet_wait_s=0.0, quick=True)
TABLE_COLUMNS_MIN = 160
LATEST = Path(__file__).resolve().parent / "results" / "latest.json"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Measure this part; repeatable.")
@click.option("--cell", "words", multiple=True, help="Measure only cells whose name has these words; repeatable.")
@click.option("--quick", is_flag=True, help="Two short rounds: under three minutes, and hints only.")
@click.option("--rounds", type=click.IntRange(1, 100), help=f"Rounds a cell. [default: {FULL.rounds}]")
@click.option("--seconds", type=click.FloatRange(0.1, 600), help=f"Seconds a sample. [default: {FULL.seconds:g}]")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=LATEST, help="Where the JSON goes.")
def main(
    *,
    parts: Sequence[str],
    words: Sequence[str],
    quick: bool,
    rounds: int | None,
    seconds: float | None,
    output: Path,
) -> None:
    """Measure the ledger beside other ways of posting, on a private MariaDB."""
    default = QUICK if quick else FULL
    method = Method(
        rounds=rounds or default.rounds,
        seconds=seconds or default.seconds,
        quiet_wait_s=default.quiet_wait_s,
        quick=quick,
    )
    chosen = [(part, cell) for part in parts or PARTS for cell in PARTS[part]()]
    chosen = [(part, cell) for part, cell in chosen if not words or any(word in cell.name for word in words)]
    console = _console()
    summaries = []
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
    console.print(table(summaries))
    console.print(aims_table(AIMS, summaries))
    console.print(f"all books proved; every sample is in {output}")


def _console() -> Console:
    # A table cut to the columns of a narrow terminal or a pipe could not be read.
    return Console(width=max(Console().width, TABLE_COLUMNS_MIN))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<55}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
