"""JSON lines that can be verified without the service: a header, a line for each event, the signed checkpoints between
them, a trailer.

docs/exports.md describes every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import msgspec

from ledger.exporting.events import ExportedEvent
from ledger.exporting.source import Source
from ledger.exporting.totals import Totals
from ledger.exporting.writing import ExportRefused, Extent, Writer

FORMAT = "orderledger-export/v1"
_encode_lines = msgspec.json.Encoder().encode_lines


class Header(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """The first line. `before`: the roots of the whole subtrees of the events before the range, the largest first."""

    format: str
    origin: str | None
    first: int
    last: int
    head: int
    created_at: str
    before: list[str]


class CheckpointLine(msgspec.Struct):
    """A signed checkpoint over all events up to the line before. After the last event it may cover later ones as well:
    `after` has the roots of the whole subtrees that they make up.
    """

    checkpoint: str
    after: list[str]


class Trailer(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """The last line. `postings`: sums by ledger account and currency, in minor units."""

    first: int
    last: int
    events: int
    checkpoints: int
    types: dict[str, int]
    postings: dict[str, dict[str, int]]
    root: str


class JsonLines(Writer):
    """Writes them."""

    def __init__(self, out: BinaryIO, source: Source) -> None:
        self._out = out
        self._source = source
        self._extent: Extent
        self._checkpoints = 0

    def begin(self, extent: Extent) -> None:
        """Write the header."""
        self._extent = extent
        before = [root.hex() for root in self._source.tree_to(extent.first - 1).roots]
        origin = self._source.origin
        self._write([Header(FORMAT, origin, extent.first, extent.last, extent.head, extent.created_at, before)])

    def go_on(self, extent: Extent, checkpoints: int) -> None:
        """Go on with a file that has its header and so many checkpoints."""
        self._extent, self._checkpoints = extent, checkpoints

    def take(self, events: Sequence[ExportedEvent]) -> None:
        """Write the events, each checkpoint after the last event it covers."""
        if not events:
            return
        sealed = self._source.checkpoints(events[0].position, events[-1].position)
        if not sealed:
            self._write(events)
            return
        lines: list[Any] = []
        written = 0
        for each in sealed:
            end = each.size - events[0].position + 1
            lines += [*events[written:end], CheckpointLine(each.note, [])]
            written = end
        self._write([*lines, *events[written:]])
        self._checkpoints += len(sealed)

    def end(self, totals: Totals) -> None:
        """Write the first checkpoint beyond the range, if there is one, and the trailer."""
        following = self._source.next_checkpoint(totals.position)
        if following is not None and following[0].size > totals.position:
            sealed, after = following
            self._write([CheckpointLine(sealed.note, [root.hex() for root in after])])
            self._checkpoints += 1
        postings: dict[str, dict[str, int]] = {}
        for (account, currency), amount_minor in sorted(totals.sums.items()):
            postings.setdefault(account, {})[currency] = amount_minor
        trailer = Trailer(
            first=self._extent.first,
            last=totals.position,
            events=totals.events,
            checkpoints=self._checkpoints,
            types=dict(sorted(totals.types.items())),
            postings=postings,
            root=totals.tree.root().hex(),
        )
        self._write([{"trailer": trailer}])

    def _write(self, lines: Sequence[Any]) -> None:
        self._out.write(_encode_lines(lines))


class Interrupted:
    """The part of a file that an interrupted export left: its header, and the events of its whole lines.

    The last event is left to be written again, as what follows it may be lacking.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        line = file.readline()
        try:
            self.header = msgspec.json.decode(line, type=Header)
        except msgspec.DecodeError:
            raise ExportRefused(
                problem="the part of the file does not begin with an export's header; remove it"
            ) from None
        self.end = len(line)
        self.checkpoints = 0
        self.last_leaf: str | None = None

    def fold(self, totals: Totals) -> None:
        """Add up the events that stay and find where they end. Raises ExportRefused."""
        decode_event = msgspec.json.Decoder(ExportedEvent).decode
        pending: ExportedEvent | None = None
        at, checkpoints = self.end, 0
        for line in self._file:
            if not line.endswith(b"\n") or line.startswith(b'{"trailer"'):
                break
            if line.startswith(b'{"checkpoint"'):
                checkpoints += 1
            else:
                try:
                    event = decode_event(line)
                except msgspec.DecodeError:
                    break
                if pending is not None:
                    totals.take([pending])
                    self.last_leaf = pending.leaf_hash
                self.end, self.checkpoints, pending = at, checkpoints, event
            at += len(line)
