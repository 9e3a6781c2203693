"""Plain-text accounting that Beancount checks: a transaction for each event that moved money.

Signs are the other way round than in the log, as accountants write them: what the platform owes its customers and what it
earned is credit, which Beancount has as negative amounts. docs/exports.md says more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO

from ledger.exporting.events import ExportedEvent, legs
from ledger.exporting.source import Source
from ledger.exporting.totals import Totals
from ledger.exporting.writing import Extent, Writer
from ledger.money import currency, format_amount
from ledger.postings import ADJUSTMENTS, FUNDING, REVENUE

PLATFORM = {
    FUNDING: "Assets:Platform:Funding",
    REVENUE: "Income:Platform:Revenue",
    ADJUSTMENTS: "Income:Platform:Adjustments",
}
OPENING = "Equity:Opening-Balances"
_OUR_ID = re.compile(r"([a-z])([a-z]*)_([0-9A-Za-z]+)")
_US_PER_DAY = 86_400_000_000


def account_name(ledger_account: str) -> str:
    """Return Beancount's name of a ledger account; no two have the same."""
    if ledger_account in PLATFORM:
        return PLATFORM[ledger_account]
    _, _, rest = ledger_account.partition(":")
    customer_id, _, part = rest.rpartition(":")
    match = _OUR_ID.fullmatch(customer_id)
    # Names begin with a capital and have letters, digits and dashes only; any other id is written in hexadecimal.
    name = f"{match[1].upper()}{match[2]}-{match[3]}" if match else f"X{customer_id.encode().hex()}"
    return f"Liabilities:Customers:{name}:{part.capitalize()}"


class Beancount(Writer):
    """Writes transactions as they come, and the balances that they must lead to."""

    def __init__(self, out: BinaryIO, source: Source) -> None:
        self._out = out
        self._source = source
        self._opened: dict[str, str] = {}
        self._currencies: set[str] = set()
        self._sums: Counter[tuple[str, str]] = Counter()
        self._touched: set[tuple[str, str]] = set()
        self._day = -1
        self._date = date.min

    def begin(self, extent: Extent) -> None:
        """Write what the file holds, and the balances before it."""
        lines = [
            f"; orderledger export, Beancount, v1: positions {extent.first} to {extent.last} of {extent.head}",
            f"; made {extent.created_at}; the last line says that the file is whole",
            f'option "title" "orderledger, positions {extent.first} to {extent.last}"',
            "",
        ]
        if extent.first > 1:
            lines += self._opening(extent.first - 1)
        self._write(lines)

    def take(self, events: Sequence[ExportedEvent]) -> None:
        """Write a transaction for each event that moved money."""
        lines: list[str] = []
        for event in events:
            self._go_to(event.recorded_at_us, lines)
            moved = legs(event)
            if not moved:
                continue
            postings = [self._posting(leg.account, leg.amount_minor, leg.currency, lines) for leg in moved]
            lines += [
                f"{self._date} * {_text(event.account_id)} {_text(event.type)}",
                f"  position: {event.position}",
                f"  event_id: {_text(event.event_id)}",
            ]
            if event.order_id is not None:
                lines.append(f"  order: {_text(event.order_id)}")
            lines += [*postings, ""]
        self._write(lines)

    def end(self, totals: Totals) -> None:
        """Write the balance of every ledger account at the end."""
        self._touched = set(self._sums)
        following = self._date + timedelta(days=1)
        root = totals.tree.root().hex()
        last = f"; end of the export: {totals.events} events to position {totals.position}, root {root}"
        self._write([*self._balances(following), "", last])

    def _opening(self, position: int) -> list[str]:
        lines: list[str] = []
        self._go_to(self._source.event(position).recorded_at_us, lines)
        for (account, code), amount_minor in sorted(self._source.balances(position).items()):
            if amount_minor == 0:
                continue
            postings = [
                self._posting(account, amount_minor, code, lines),
                self._posting(OPENING, -amount_minor, code, lines),
            ]
            lines += [f'{self._date} * "opening balance"', f"  position: {position}", *postings, ""]
        return lines

    def _go_to(self, time_us: int, lines: list[str]) -> None:
        day = time_us // _US_PER_DAY
        if day == self._day:
            return
        before, self._day = self._date, day
        self._date = datetime.fromtimestamp(day * 86_400, UTC).date()
        if (before.year, before.month) != (self._date.year, self._date.month):
            lines += self._balances(self._date.replace(day=1))

    def _balances(self, day: date) -> list[str]:
        # An assertion holds at the beginning of its day. Without a tolerance Beancount allows a cent of difference.
        lines = [
            f"{day} balance {self._opened[account]}  {_amount(-self._sums[account, code], code, ' ~ 0')}"
            for account, code in sorted(self._touched)
        ]
        self._touched = set()
        return [*lines, ""] if lines else []

    def _posting(self, account: str, amount_minor: int, code: str, lines: list[str]) -> str:
        """Return the line of a posting; whatever it needs before it is added to `lines`."""
        if code not in self._currencies:
            self._currencies.add(code)
            lines.append(f"{self._date} commodity {code}")
        if account not in self._opened:
            self._opened[account] = OPENING if account == OPENING else account_name(account)
            lines.append(f"{self._date} open {self._opened[account]}")
            if account != OPENING:
                lines.append(f"  ledger_account: {_text(account)}")
        self._sums[account, code] += amount_minor
        self._touched.add((account, code))
        return f"  {self._opened[account]}  {_amount(-amount_minor, code)}"

    def _write(self, lines: Sequence[str]) -> None:
        self._out.write("".join(f"{line}\n" for line in lines).encode("utf-8"))


def _amount(amount_minor: int, code: str, tolerance: str = "") -> str:
    return f"{format_amount(amount_minor, currency(code))}{tolerance} {code}"


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
