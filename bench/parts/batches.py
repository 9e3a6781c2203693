"""Batches in process: one caller, a thousand commands at a time, beside the bare INSERT of the same rows."""

from __future__ import annotations

from bench.parts.posting import SIZES
from bench.posting import POSTS_BEFORE, PostingCell

SIZE = 1_000


def cells() -> list[PostingCell]:
    """Return the load beside other ways, and the ledger's alone to longer and longer logs."""
    beside = PostingCell(name="batch of 1,000, 1 caller", ways=("ledger", "raw", "django", "orm"), batch=SIZE)
    growing = [
        PostingCell(
            name=f"batch of 1,000, {size:,} {POSTS_BEFORE}",
            ways=("ledger",),
            batch=SIZE,
            log=size,
            axis=POSTS_BEFORE,
            is_quick=False,
        )
        for size in SIZES
    ]
    return [beside, *growing]
