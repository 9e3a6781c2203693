"""Single posts in process: one command, one answer, as many callers as wait at once."""

from __future__ import annotations

from bench.posting import ACCOUNTS, POSTS_BEFORE, PostingCell

WAYS = ("ledger", "django", "orm")
APPENDED = (*WAYS, "eventsourcing")
SIZES = (10_000, 100_000, 1_000_000)
PROMISES = ("ledger", "bare ledger")


def cells() -> list[PostingCell]:
    """Return the loads, the lightest first."""
    spread = [
        PostingCell(
            name=f"post, {_count(callers)}, 1 process",
            ways=APPENDED if callers in (1, 32) else WAYS,
            callers=callers,
            is_quick=callers in (1, 64),
        )
        for callers in (1, 16, 32, 64)
    ]
    shared = [
        PostingCell(
            name=f"post, {callers} callers, 2 processes",
            ways=WAYS,
            callers=callers,
            processes=2,
            is_quick=callers == 32,
        )
        for callers in (16, 32, 64)
    ]
    hot = [
        PostingCell(name="hot account, 32 callers, 1 process", ways=WAYS, callers=32, accounts=1),
        PostingCell(
            name="hot account, 32 callers, 2 processes", ways=WAYS, callers=32, processes=2, accounts=1, is_quick=False
        ),
    ]
    mixed = [
        PostingCell(
            name=f"mixed, 32 callers, {_processes(count)}",
            ways=WAYS,
            callers=32,
            processes=count,
            mixed=True,
            is_quick=count == 2,
        )
        for count in (1, 2)
    ]
    promises = [
        PostingCell(name="promises, 32 callers, 1 process", ways=PROMISES, callers=32, is_quick=False),
        PostingCell(name="promises, batch of 1,000", ways=PROMISES, batch=1_000, is_quick=False),
    ]
    growing = [
        PostingCell(
            name=f"post, 32 callers, {size:,} {axis}", ways=("ledger",), callers=32, axis=axis, is_quick=False, **more
        )
        for size in SIZES
        for axis, more in ((POSTS_BEFORE, {"log": size}), (ACCOUNTS, {"accounts": size}))
    ]
    return [*spread, *shared, *hot, *mixed, *promises, *growing]


def _count(callers: int) -> str:
    return "1 caller" if callers == 1 else f"{callers} callers"


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"
