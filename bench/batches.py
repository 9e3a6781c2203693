"""Batches in process: one caller, a thousand commands at a time, beside the bare INSERT of the same rows."""

from __future__ import annotations

from bench.measure import Cell

SIZE = 1_000


def cells() -> list[Cell]:
    """Return the one load."""
    return [Cell(name="batch of 1,000, 1 caller", ways=("ledger", "raw", "django", "orm"), batch=SIZE)]
