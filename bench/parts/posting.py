"""Single posts in process: one command, one answer, as many callers as wait at once."""

from __future__ import annotations

from bench.posting import PostingCell

WAYS = ("ledger", "django", "orm")


def cells() -> list[PostingCell]:
    """Return the loads, the lightest first."""
    spread = [
        PostingCell(name=f"post, {_count(callers)}, 1 process", ways=WAYS, callers=callers)
        for callers in (1, 16, 32, 64)
    ]
    shared = [
        PostingCell(name=f"post, {callers} callers, 2 processes", ways=WAYS, callers=callers, processes=2)
        for callers in (32, 64)
    ]
    hot = [
        PostingCell(name="hot account, 32 callers, 1 process", ways=WAYS, callers=32, accounts=1),
        PostingCell(name="hot account, 32 callers, 2 processes", ways=WAYS, callers=32, processes=2, accounts=1),
    ]
    return [*spread, *shared, *hot]


def _count(callers: int) -> str:
    return "1 caller" if callers == 1 else f"{callers} callers"
