"""Go on from a checkpoint that somebody trusts: what stands before it is not verified again, and nothing of it is believed
that is not under the checkpoint.

The tree's stored hashes must lead to the checkpoint's root. What the newer events rest on is then read event by event:
of each account that they concern its last event and those that set its terms, of each order what happened to it. Every
one is hashed anew and found in the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from ledger import codec, schema
from ledger.accounts import OPEN, SUSPENDED
from ledger.audit import order_books, shapes
from ledger.audit.account_books import Part
from ledger.audit.findings import CannotTell, Finding, Found
from ledger.audit.order_books import Order
from ledger.audit.range_books import PLACED_TYPE, RangeResult, step
from ledger.audit.stitching import Stitched
from ledger.events import (
    AccountCreditLimitChanged,
    AccountLevelChanged,
    AccountOpened,
    AccountReactivated,
    AccountSuspended,
)
from ledger.leaf import LEAF_FIELDS, leaf_bytes, leaf_hash
from ledger.proofs.checking import Kept
from ledger.proofs.tree import TILE_HEIGHT, TILE_WIDTH, BlockRoots, GrowingTree, whole_root

PAGE_IDS = 500
_EVENTS = schema.events.c
_SET_TERMS = tuple(
    each.TYPE
    for each in (
        AccountOpened,
        AccountLevelChanged,
        AccountSuspended,
        AccountReactivated,
        AccountCreditLimitChanged,
    )
)


class Prefix:
    """The events up to a checkpoint. Raises CannotTell when hashes of the tree are missing."""

    def __init__(self, connection: sa.Connection, kept: Kept) -> None:
        self._connection = connection
        self._kept = kept
        self.size = kept.checkpoint.size
        whole = self.size // TILE_WIDTH
        hashes = schema.tree_hashes.c
        query = sa.select(hashes.hash).where(hashes.level == 1, hashes.entry < whole).order_by(hashes.entry)
        self._roots = [bytes(each) for each in connection.scalars(query)]
        self._rest = self._leaves(whole * TILE_WIDTH + 1, self.size)
        if len(self._roots) != whole or len(self._rest) != self.size % TILE_WIDTH:
            raise CannotTell(problem=f"the tree's hashes up to {self.size} are not all there; verify without --since")
        self._covered: set[int] = set()

    def wrong(self) -> Finding | None:
        """Return that the stored hashes lead to another root than the checkpoint's."""
        tree = GrowingTree()
        for root in self._roots:
            tree.add(root, TILE_HEIGHT)
        for leaf in self._rest:
            tree.add(leaf)
        if tree.root() == self._kept.checkpoint.root:
            return None
        return Finding(
            1, f"the hashes of the first {self.size} events lead to another root than {self._kept.words} has"
        )

    def fold(self, results: Sequence[RangeResult]) -> Stitched:
        """Return the state that these ranges, which follow, rest on. Raises Found."""
        fold = Stitched()
        fold.blocks = BlockRoots()
        fold.blocks.roots = list(self._roots)
        fold.blocks.extend(self._rest)
        parts = [part for result in results for part in result.parts if not part.is_opened]
        # Of several ranges the first one meets an account as it was at the checkpoint.
        versions = {part.account_id: part.first_version for part in reversed(parts)}
        fold.accounts = {part.account_id: part for part in self._accounts(versions)}
        opened = {part.account_id for result in results for part in result.parts if part.is_opened}
        for account_id in versions.keys() - fold.accounts.keys() - opened:
            first = next(part for part in parts if part.account_id == account_id)
            raise Found(first.first_position, "the event of the account before this one is missing")
        fold.orders = {
            order.order_id: order for order in self._orders({each.order_id for r in results for each in r.put_off})
        }
        return fold

    def _accounts(self, versions: dict[bytes, int]) -> Iterator[Part]:
        for ids in _pages([each.decode("utf-8", "replace") for each in versions]):
            wanted = [(each, versions[each.encode()]) for each in ids]
            last = {
                row.account_id: row for row in self._events(sa.tuple_(_EVENTS.account_id, _EVENTS.version).in_(wanted))
            }
            parts = {
                account_id: Part(
                    account_id.encode(), 1, 0, 0, 0, row.version, row.available_minor, row.held_minor, row.position
                )
                for account_id, row in last.items()
            }
            for row in self._events(_EVENTS.account_id.in_(ids) & _EVENTS.type.in_(_SET_TERMS)):
                if row.account_id in parts:
                    _set_terms(parts[row.account_id], codec.decode(row.type, row.schema_version, row.data))
            yield from parts.values()

    def _orders(self, order_ids: Iterable[bytes]) -> Iterator[Order]:
        found: dict[bytes, Order] = {}
        for ids in _pages([each.decode("utf-8", "replace") for each in order_ids]):
            for row in self._events(_EVENTS.order_id.in_(ids)):
                order_id, account_id = row.order_id.encode(), row.account_id.encode()
                content = shapes.decode(row.type, row.schema_version, bytes(row.data))
                if row.type == PLACED_TYPE:
                    found[order_id] = order_books.place(order_id, account_id, content, row.position)
                elif order_id in found:
                    step(found[order_id], account_id, content, row.position)
        yield from (order for order in found.values() if not order.is_ended)

    def _events(self, condition: sa.ColumnElement[bool]) -> list[sa.Row[Any]]:
        """Read events of the prefix, each found under the checkpoint. Raises Found."""
        columns = [*(_EVENTS[name] for name in LEAF_FIELDS), _EVENTS.leaf_hash]
        query = sa.select(*columns).where(condition, _EVENTS.position <= self.size).order_by(_EVENTS.position)
        rows = list(self._connection.execute(query))
        for row in rows:
            if leaf_hash(leaf_bytes(*row[:-1])) != bytes(row.leaf_hash):
                raise Found(row.position, "the leaf hash is not that of the stored bytes")
        for tile in sorted({(row.position - 1) // TILE_WIDTH for row in rows} - self._covered):
            first = tile * TILE_WIDTH + 1
            if tile < len(self._roots) and self._is_another(first, self._roots[tile]):
                raise Found(first, f"the events from here to {first + TILE_WIDTH - 1} are not those that were sealed")
            self._covered.add(tile)
        return rows

    def _is_another(self, first: int, root: bytes) -> bool:
        leaves = self._leaves(first, first + TILE_WIDTH - 1)
        return len(leaves) != TILE_WIDTH or whole_root(leaves) != root

    def _leaves(self, first: int, last: int) -> list[bytes]:
        query = sa.select(_EVENTS.leaf_hash).where(_EVENTS.position.between(first, last)).order_by(_EVENTS.position)
        return [bytes(each) for each in self._connection.scalars(query)]


def _set_terms(part: Part, event: Any) -> None:
    match event:
        case AccountOpened():
            part.currency, part.code = event.currency, event.currency.encode()
            part.status, part.credit = OPEN, event.credit_limit_minor
            part.percent, part.level_id, part.is_level_known = event.discount_percent, event.level_id, True
        case AccountLevelChanged():
            part.percent, part.level_id = event.discount_percent, event.level_id
        case AccountSuspended():
            part.status = SUSPENDED
        case AccountReactivated():
            part.status = OPEN
        case AccountCreditLimitChanged():
            part.credit = event.credit_limit_minor


def _pages(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), PAGE_IDS):
        yield list(ids[start : start + PAGE_IDS])
