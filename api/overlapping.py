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
    What comes behind one whose work failed is not worked on.
    """

    def following(before: Future[Made] | None, each: Given) -> Made:
        if before is not None and (error := before.exception()) is not None:
            raise error
        return work(each)

    with ThreadPoolExecutor(max_workers=1) as thread:
        working: Future[Made] | None = None
        for each in source:
            before, working = working, thread.submit(following, working, each)
            if before is not None:
                yield before.result()
        if working is not None:
            yield working.result()
