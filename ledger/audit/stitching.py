"""Put the ranges of a log together, in order: each must begin where those before it ended.

`Stitched` holds what is known after the ranges so far; the state of all accounts and of the open orders.
"""

from __future__ import annotations

from ledger.audit import shapes
from ledger.audit.account_books import Part, overdrawn
from ledger.audit.findings import Finding, Found
from ledger.audit.order_books import Order, RowSums
from ledger.audit.range_books import RangeResult, step, unpacked
from ledger.proofs.tree import BlockRoots


class Stitched:
    """Accounts by id (of each the latest part, with what earlier ones knew), open orders by id, sums of ended ones."""

    def __init__(self) -> None:
        self.accounts: dict[bytes, Part] = {}
        self.orders: dict[bytes, Order] = {}
        self.sums = RowSums()
        self.events = 0
        self.blocks = BlockRoots()
        self._time_us = 0

    def join(self, result: RangeResult) -> Finding | None:
        """Take the next range; return the first thing that is wrong in it, or with it after those before."""
        findings = [] if result.finding is None else [result.finding]
        if result.events:
            if result.times_us[0] < self._time_us:
                findings.append(Finding(result.first, "recorded_at_us is before that of the event before"))
            self._time_us = result.times_us[1]
        for part in result.parts:
            findings += self._join_account(part)
        findings += self._join_orders(result)
        self.sums.merge(result.order_sums)
        self.events += result.events
        self.blocks.join(result.blocks)
        return min(findings, key=lambda finding: finding.position, default=None)

    def unheld(self) -> Finding | None:
        """Return the first account whose held money is not what its open orders hold."""
        holds: dict[bytes, int] = {}
        for order in self.orders.values():
            holds[order.account_id] = holds.get(order.account_id, 0) + order.terms.amount_minor
        wrong = [part for part in self.accounts.values() if part.held != holds.get(part.account_id, 0)]
        if not wrong:
            return None
        first = min(wrong, key=lambda part: part.position)
        held = holds.get(first.account_id, 0)
        return Finding(first.position, f"held money is {first.held}, the account's open orders hold {held}")

    def _join_account(self, part: Part) -> list[Finding]:
        before = self.accounts.get(part.account_id)
        self.accounts[part.account_id] = part
        if before is None:
            return [] if part.is_opened else [Finding(part.first_position, "the account was never opened")]
        if part.is_opened:
            return [Finding(part.first_position, "the account is opened a second time")]
        findings = _disagreements(before, part)
        part.reversals = before.reversals + part.reversals
        part.currency = before.currency
        part.credit = before.credit if part.credit is None else part.credit
        part.status = before.status if part.status is None else part.status
        if part.percent is None or not part.is_level_known:
            part.level_id, part.percent = before.level_id, before.percent
        return findings

    def _join_orders(self, result: RangeResult) -> list[Finding]:
        findings = []
        for each in result.put_off:
            order = self.orders.get(each.order_id)
            try:
                if order is None:
                    raise Found(each.position, f"{each.type_name} of an order that is not open")
                content = shapes.DECODERS[each.type_name](each.data)
                ended = step(order, each.account_id, content, each.position)
                if order.is_ended:
                    self.sums.add_order(order, *ended)
                    del self.orders[each.order_id]
            except Found as found:
                findings.append(found.finding)
        for values in result.open_orders:
            order = unpacked(values)
            if order.order_id in self.orders:
                findings.append(Finding(order.placed_position, "the order is placed a second time"))
            self.orders[order.order_id] = order
        return findings


def _disagreements(before: Part, part: Part) -> list[Finding]:
    findings = []

    def compare(position: int, words: str, was: object, relied: object) -> None:
        if was != relied:
            findings.append(Finding(position, f"{words} {relied} was relied on, it is {was}"))

    first = part.first_position
    compare(first, "the account's version", before.version, part.first_version)
    compare(first, "available money", before.available, part.first_available)
    compare(first, "held money", before.held, part.first_held)
    if part.relied_currency is not None:
        compare(part.relied_currency[1], "the currency", before.currency, part.relied_currency[0])
    if part.relied_status is not None:
        compare(part.relied_status[1], "the account's status", before.status, part.relied_status[0])
    if part.relied_percent is not None:
        compare(part.relied_percent[1], "the account's percentage", before.percent, part.relied_percent[0])
    if before.credit is not None and part.lowest < -before.credit:
        findings.append(Finding(part.lowest_position, overdrawn(part.lowest, before.credit)))
    return findings
