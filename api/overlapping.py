"""Work on one thing while the next is made ready."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def overlapped(source: Iterable[Given], work: Callable[[Given], Made]) -> Iterator[Made]:
    """Yield what `work` makes of each, in order: one at a time, in a thread, while the source yields the next.

    At most three are held. Raises what the source or the work raises; what is being worked on then is finished first.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        working: Future[Made] | None = None
        for each in source:
            following = thread.submit(work, each)
            if working is not None:
                yield working.result()
            working = following
        if working is not None:
            yield working.result()
