"""A table for spreadsheets and databases: an event a row, its postings side by side, money in minor units and in the
currency's digits. What somebody typed is never taken for a formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from ledger.clock import rfc3339
from ledger.csv_lines import csv_lines
from ledger.exporting.events import ExportedEvent, legs
from ledger.exporting.source import Source
from ledger.exporting.totals import Totals
from ledger.exporting.writing import Extent, Writer
from ledger.money import currency, format_amount
from ledger.postings import ADJUSTMENTS, FUNDING, REVENUE

TEXTS = (
    "event_id", "account_id", "type", "order_id", "actor", "idempotency_key", "correlation_id", "causation_id",
)  # fmt: skip
CHANGES = ("available_change", "held_change", "funding", "revenue", "adjustments")
BALANCES = ("available", "held")
COLUMNS = (
    "position", "recorded_at", "account_id", "version", "type", "schema_version", "order_id", "actor",
    "idempotency_key", "correlation_id", "causation_id", "event_id", "currency", *CHANGES, *BALANCES,
    *(f"{name}_minor" for name in (*CHANGES, *BALANCES)), "details_hash", "leaf_hash", "data",
)  # fmt: skip
_STORED = tuple(name for name in COLUMNS if name in ExportedEvent.__struct_fields__)
_PLATFORM = {FUNDING: "funding", REVENUE: "revenue", ADJUSTMENTS: "adjustments"}


class Csv(Writer):
    """Writes the table."""

    def __init__(self, out: BinaryIO, source: Source) -> None:
        self._out = out
        self._source = source
        self._currencies: dict[str, str] = {}

    def begin(self, extent: Extent) -> None:
        """Write the names of the columns."""
        self._write(next(csv_lines(COLUMNS, (), typed=())))

    def take(self, events: Sequence[ExportedEvent]) -> None:
        """Write a row for each event."""
        unknown = {event.account_id for event in events} - self._currencies.keys()
        if unknown:
            self._currencies |= self._source.currencies(sorted(unknown))
        lines = csv_lines(COLUMNS, map(self._row, events), typed=TEXTS)
        next(lines)
        self._write("".join(lines))

    def end(self, totals: Totals) -> None:
        """Nothing: a table has rows only."""

    def _row(self, event: ExportedEvent) -> Mapping[str, Any]:
        row: dict[str, Any] = {name: getattr(event, name) for name in _STORED}
        row["recorded_at"] = rfc3339(event.recorded_at_us)
        moved = {_column(leg.account): leg for leg in legs(event)}
        row |= {f"{name}_minor": leg.amount_minor for name, leg in moved.items()}
        code = next((leg.currency for leg in moved.values()), None) or self._currencies.get(event.account_id)
        if code is not None:
            unit = currency(code)
            row["currency"] = code
            row |= {name: format_amount(leg.amount_minor, unit) for name, leg in moved.items()}
            row |= {name: format_amount(row[f"{name}_minor"], unit) for name in BALANCES}
        return row

    def _write(self, text: str) -> None:
        self._out.write(text.encode("utf-8"))


def _column(account: str) -> str:
    return _PLATFORM.get(account) or f"{account.rpartition(':')[2]}_change"
