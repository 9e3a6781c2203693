"""Verify segments without a database: every event by itself and after those before it, and the signed roots.

A run of segments from position 1 is audited as the log itself is. One that begins later relies on what came before it for
balances, limits and orders under way; its events, positions, versions and signatures are checked all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from ledger.archive.segments import Segment, ranges_of, rows_of
from ledger.audit.findings import CANNOT_TELL, CLEAN, TAMPERED, CannotTell, Finding, Found, Report
from ledger.audit.scan import RangeScan
from ledger.audit.stitching import Stitched
from ledger.proofs.checking import Kept
from ledger.proofs.notes import BadNote, Checkpoint, VerifierKey, opened
from ledger.proofs.tree import GrowingTree, whole_subtrees

CHECKED = ("leaf hashes", "positions", "account versions", "recorded times", "postings", "balances")
CHECKED_FROM_THE_FIRST = ("credit limits", "order transitions", "holds")
CHECKED_LAST = ("roots of checkpoints", "signatures of checkpoints")

Progress = Callable[[int, int], None]


def verify_segments(
    segments: Sequence[Segment],
    keys: Sequence[VerifierKey],
    *,
    kept: Sequence[Kept] = (),
    progress: Progress = lambda done, total: None,
) -> Report:
    """Say whether the segments are what was signed for by one of the keys, and go on from each checkpoint that was kept."""
    began = time.monotonic()
    total = sum(segment.last - segment.first + 1 for segment in segments)
    done = 0

    def tick(events: int) -> None:
        nonlocal done
        done += events
        progress(done, total)

    def report(status: str, position: int | None = None, words: str | None = None) -> Report:
        ranges = ranges_of(segments)
        # Behind a gap nobody knows what came before.
        from_the_first = CHECKED_FROM_THE_FIRST if len(ranges) == 1 and ranges[0][0] == 1 else ()
        return Report(
            status=status,
            events=done,
            first_bad_position=position,
            finding=words,
            checked=(*CHECKED, *from_the_first, *CHECKED_LAST),
            seconds=round(time.monotonic() - began, 3),
        )

    try:
        _ensure_covered(segments, kept)
        for run in _runs(segments):
            finding = _Run(run[0], keys, kept).verify(run, tick)
            if finding is not None:
                return report(TAMPERED, finding.position, finding.words)
    except CannotTell as reason:
        return report(CANNOT_TELL, words=str(reason))
    return report(CLEAN)


class _Run:
    """Segments that follow one another, on their way: the tree so far, and from position 1 on what an audit knows."""

    def __init__(self, first: Segment, keys: Sequence[VerifierKey], kept: Sequence[Kept]) -> None:
        self._keys = keys
        self._kept: dict[int, list[Kept]] = {}
        for each in kept:
            self._kept.setdefault(each.checkpoint.size, []).append(each)
        self._fold = Stitched() if first.first == 1 else None
        self._tree = _tree_of(first)

    def verify(self, segments: Sequence[Segment], tick: Callable[[int], None]) -> Finding | None:
        """Return the first thing that is wrong. Raises CannotTell."""
        for segment in segments:
            if list(segment.before) != self._tree.roots:
                return Finding(segment.first, f"{segment.path.name} does not go on from the events before it")
            try:
                finding = self._scan(segment, tick) or self._wrong_root(segment)
            except Found as found:
                finding = found.finding
            if finding is not None:
                return finding
        return None if self._fold is None else self._fold.unheld()

    def _scan(self, segment: Segment, tick: Callable[[int], None]) -> Finding | None:
        scan = RangeScan(segment.first, hashes=True)
        add, kept = self._tree.add, self._kept
        for rows in rows_of(segment):
            if not scan.take(rows):
                break
            for row in rows:
                add(bytes.fromhex(row[-1].decode()))
                for each in kept.get(self._tree.size, ()):
                    self._ensure_kept(each)
            tick(len(rows))
        result = scan.result(segment.last)
        if result.finding is None and self._tree.size != segment.last:
            return Finding(segment.last + 1, f"{segment.path.name} holds more events than it says")
        return result.finding if self._fold is None else self._fold.join(result)

    def _ensure_kept(self, each: Kept) -> None:
        if self._tree.root() != each.checkpoint.root:
            raise Found(1, f"up to position {each.checkpoint.size} this is not the log of {each.words}")

    def _wrong_root(self, segment: Segment) -> Finding | None:
        try:
            checkpoint = Checkpoint.parse(opened(segment.note, self._keys))
        except BadNote as error:
            return Finding(segment.first, f"the checkpoint of {segment.path.name} does not count: {error}")
        tree = self._tree.copy()
        subtrees = whole_subtrees(tree.size, checkpoint.size)
        if checkpoint.size < tree.size or len(subtrees) != len(segment.after):
            return Finding(segment.first, f"the checkpoint of {segment.path.name} is not of its events")
        for (_, height), root in zip(subtrees, segment.after, strict=True):
            tree.add(root, height)
        if tree.root() == checkpoint.root:
            return None
        return Finding(segment.first, f"the events of {segment.path.name} are not those that were signed for")


def _tree_of(first: Segment) -> GrowingTree:
    """Return the tree of the events before a segment. Raises CannotTell."""
    tree = GrowingTree()
    subtrees = whole_subtrees(0, first.first - 1)
    if len(subtrees) != len(first.before):
        raise CannotTell(problem=f"{first.path} does not say what came before it: get another copy of it")
    for (_, height), root in zip(subtrees, first.before, strict=True):
        tree.add(root, height)
    return tree


def _ensure_covered(segments: Sequence[Segment], kept: Sequence[Kept]) -> None:
    for each in kept:
        size = each.checkpoint.size
        if not any(segment.first <= size <= segment.last for segment in segments):
            raise CannotTell(problem=f"no segment holds position {size}, which is what {each.words} ends with")


def _runs(segments: Sequence[Segment]) -> Iterator[Sequence[Segment]]:
    if not segments:
        raise CannotTell(problem="there is no segment to verify")
    begin = 0
    for index, (one, following) in enumerate(pairwise(segments), 1):
        if following.first != one.last + 1:
            yield segments[begin:index]
            begin = index
    yield segments[begin:]
