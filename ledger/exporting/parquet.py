"""Columns for data frames, warehouses and archives, typed as in the log. Needs pyarrow.

The metadata of the file say what it holds, and have what it takes to verify it alone: the roots of the whole subtrees of
the events before the range, the first signed checkpoint that covers it, and the roots from its end to the checkpoint's size.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence
from typing import Any, BinaryIO

from ledger.exporting.events import ExportedEvent
from ledger.exporting.source import Source
from ledger.exporting.totals import Totals
from ledger.exporting.writing import ExportRefused, Extent, Writer
from ledger.leaf import LEAF_FIELDS

ROWS_PER_GROUP = 20_000
FORMAT = "orderledger-export/parquet/v1"
COLUMNS = (*LEAF_FIELDS, "leaf_hash")
_NAMES = {"recorded_at_us": "recorded_at"}
OPTIONAL = ("order_id", "causation_id", "details_hash")
_HEXADECIMAL = ("event_id", "details_hash", "leaf_hash")


class Parquet(Writer):
    """Writes a row group for so many events. Raises ExportRefused when pyarrow is not installed."""

    def __init__(self, out: BinaryIO, source: Source) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ExportRefused(
                problem="parquet needs pyarrow: pip install 'orderledger[parquet]' into the same environment"
            ) from None
        self._arrow, self._parquet = pyarrow, pyarrow.parquet
        self._out = out
        self._source = source
        self._before: list[str] = []
        self._extent: Extent
        self._waiting: list[ExportedEvent] = []
        self._schema = parquet_schema(pyarrow)
        self._writer: Any = None

    def begin(self, extent: Extent) -> None:
        """Begin the file."""
        self._extent = extent
        self._before = [root.hex() for root in self._source.tree_to(extent.first - 1).roots]
        self._writer = self._parquet.ParquetWriter(self._out, self._schema, compression="zstd")

    def take(self, events: Sequence[ExportedEvent]) -> None:
        """Write what fills a row group."""
        self._waiting += events
        if len(self._waiting) >= ROWS_PER_GROUP:
            self._flush()

    def end(self, totals: Totals) -> None:
        """Write the rest, and what the file holds into its metadata."""
        self._flush()
        extent = self._extent
        said = {
            "format": FORMAT,
            "from": extent.first,
            "to": totals.position,
            "head": extent.head,
            "created_at": extent.created_at,
            "events": totals.events,
            "root": totals.tree.root().hex(),
            "before": " ".join(self._before),
        }
        following = self._source.next_checkpoint(totals.position)
        if following is not None:
            sealed, after = following
            said |= {"checkpoint": sealed.note, "after": " ".join(root.hex() for root in after)}
        self._writer.add_key_value_metadata({f"orderledger.{name}": str(value) for name, value in said.items()})
        self._writer.close()

    def close(self) -> None:
        """Finish a file that failed: pyarrow would write to it once more when it is forgotten."""
        if self._writer is not None and self._writer.is_open:
            self._writer.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        values: dict[str, list[Any]] = {name: [getattr(each, name) for each in self._waiting] for name in COLUMNS}
        for name in _HEXADECIMAL:
            values[name] = [None if each is None else unhexlify(each) for each in values[name]]
        columns = {_NAMES.get(name, name): column for name, column in values.items()}
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        self._waiting = []


def parquet_schema(arrow: Any) -> Any:
    """Return the columns of the files, as pyarrow has them."""
    types = dict.fromkeys(COLUMNS, arrow.string())
    types |= dict.fromkeys(("position", "version", "available_minor", "held_minor"), arrow.int64())
    types |= {"schema_version": arrow.int16(), "recorded_at_us": arrow.timestamp("us", tz="UTC")}
    types |= {"event_id": arrow.binary(16), "details_hash": arrow.binary(32), "leaf_hash": arrow.binary(32)}
    return arrow.schema([arrow.field(_NAMES.get(name, name), kind, name in OPTIONAL) for name, kind in types.items()])
