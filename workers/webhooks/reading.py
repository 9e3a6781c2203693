"""The log as who delivers reads it: in blocks of positions, each read once for all subscriptions that are at it.

A whole block never changes, so the last ones used are kept; of the one that the log still fills only what is new is read.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from ledger import log
from ledger.directory.models import Customer
from workers.webhooks.messages import Entry

BLOCK_EVENTS = 256
BLOCKS_MAX = 64
"""Blocks that are kept; subscriptions at more places than that make each other read again."""
THRESHOLDS_S_MAX = 1.0
"""How old thresholds may be."""


@dataclass(slots=True)
class Block:
    """Entries of positions after `first - 1`, without gaps, as far as they were read."""

    first: int
    entries: list[Entry] = field(default_factory=list)
    thresholds: Mapping[str, int] = field(default_factory=dict)
    thresholds_at_s: float = float("-inf")
    thresholds_to: int = 0
    changing: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries after a position, none when the log read from has not got so far, and the thresholds of their accounts."""

    entries: Sequence[Entry]
    thresholds: Mapping[str, int]

    def threshold_of(self, account_id: str) -> int | None:
        """Return a customer's threshold in minor units, None when it has none."""
        return self.thresholds.get(account_id)


class LogBlocks:
    """Reads the log and the thresholds. Thread-safe; a block is read by one thread while others wait for it."""

    def __init__(self, log_engine: sa.Engine, directory_engine: sa.Engine) -> None:
        self._log = log_engine
        self._directory = directory_engine
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._changing = threading.Lock()
        self.reads = 0

    def head(self) -> int:
        """Return the last position."""
        with self._log.connect() as connection:
            return log.head(connection).position

    def after(self, position: int, head: int) -> Stretch:
        """Return what comes after a position below `head`, to the end of its block at most."""
        block = self._block(position // BLOCK_EVENTS)
        with block.changing:
            wanted = min(head, block.first + BLOCK_EVENTS - 1)
            if block.first + len(block.entries) <= wanted:
                self._fill(block)
            now_s = time.monotonic()
            is_old = now_s - block.thresholds_at_s > THRESHOLDS_S_MAX
            if is_old or block.thresholds_to < len(block.entries):
                block.thresholds = self._thresholds(block)
                block.thresholds_at_s, block.thresholds_to = now_s, len(block.entries)
            return Stretch(block.entries[position - block.first + 1 :], block.thresholds)

    def _block(self, number: int) -> Block:
        with self._changing:
            found = self._blocks.get(number)
            if found is None:
                found = self._blocks[number] = Block(number * BLOCK_EVENTS + 1)
            self._blocks.move_to_end(number)
            while len(self._blocks) > BLOCKS_MAX:
                self._blocks.popitem(last=False)
            return found

    def _fill(self, block: Block) -> None:
        after = block.first - 1 + len(block.entries)
        with self._log.connect() as connection:
            events = log.events_after(connection, after, BLOCK_EVENTS - len(block.entries))
        self.reads += 1
        block.entries += [Entry(each) for each in events]

    def _thresholds(self, block: Block) -> Mapping[str, int]:
        account_ids = sorted({each.event.account_id for each in block.entries if each.change_minor() < 0})
        if not account_ids:
            return {}
        query = sa.select(Customer.id, Customer.low_balance_threshold_minor).where(
            Customer.id.in_(account_ids), Customer.low_balance_threshold_minor.is_not(None)
        )
        with self._directory.connect() as connection:
            found: dict[str, int] = {row.id: row.low_balance_threshold_minor or 0 for row in connection.execute(query)}
        return found
