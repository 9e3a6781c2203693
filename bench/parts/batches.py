"""Batches in process: one caller, a thousand commands at a time, beside the bare INSERT of the same rows."""

from __future__ import annotations

from bench.posting import PostingCell

SIZE = 1_000


def cells() -> list[PostingCell]:
    """Return the one load."""
    return [PostingCell(name="batch of 1,000, 1 caller", ways=("ledger", "raw", "django", "orm"), batch=SIZE)]
