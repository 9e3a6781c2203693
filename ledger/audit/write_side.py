"""The tables beside the log, read at one moment, to be held against the fold: head, accounts, orders, reversals, and the
positions that outcomes name; and the erasable texts, against the hashes that their events have.

Everything is read in one transaction that sees one moment, so that a service that goes on meanwhile does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger import codec, log, schema
from ledger.accounts import Account
from ledger.audit.account_books import Part
from ledger.audit.findings import Finding
from ledger.audit.order_books import BUCKET_BITS, MISSING, RowSums
from ledger.audit.reading import PAGE_BYTES_MAX
from ledger.audit.stitching import Stitched
from ledger.database import outlast_idling
from ledger.leaf import details_hash
from ledger.state import order_from, orders_by_id

PAGE_ROWS = 2_000
"""Rows of one query."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the log ends by its head row (None: there is none), and its lowest and highest positions."""

    head: int | None
    lowest: int | None
    highest: int | None


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that sees one moment."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            connection.execution_options(isolation_level="REPEATABLE READ")
            connection.exec_driver_sql(f"SET SESSION group_concat_max_len={PAGE_BYTES_MAX}")
            # It idles while the events are scanned on other connections.
            outlast_idling(connection)
        else:
            sqlite: Any = connection.connection.driver_connection
            sqlite.create_function("COMMITMENT", 2, details_hash)
        yield connection
        connection.rollback()


def ends(connection: sa.Connection) -> Ends:
    """Read where the log ends."""
    positions = schema.events.c.position
    lowest, highest = connection.execute(sa.select(sa.func.min(positions), sa.func.max(positions))).one()
    heads = connection.execute(sa.select(schema.log_head.c.position)).scalars().all()
    return Ends(heads[0] if len(heads) == 1 else None, lowest, highest)


def placed_again(connection: sa.Connection, before: int) -> Finding | None:
    """Return the first order.placed of an order that was placed before, among the events before a position.

    A scan forgets orders that have ended, so it notices such an event by what comes after it; this looks for the event.
    Page by page, since no statement may take as long as the log is.
    """
    events, is_placed = schema.events.c, schema.events.c.type == "order.placed"
    for start in range(1, before, PAGE_ROWS):
        here = events.position.between(start, min(before, start + PAGE_ROWS) - 1)
        placed = connection.execute(
            sa.select(events.position, events.order_id).where(is_placed, here).order_by(events.position)
        ).all()
        ids = [row.order_id for row in placed]
        firsts = sa.select(events.order_id, sa.func.min(events.position)).where(is_placed, events.order_id.in_(ids))
        first_of = {row[0]: row[1] for row in connection.execute(firsts.group_by(events.order_id))} if ids else {}
        for position, order_id in placed:
            if first_of.get(order_id, position) < position:
                return Finding(position, "the order is placed a second time")
    return None


class WriteSide:
    """What the tables hold. Orders as sums of rows, positions of outcomes as marks: neither is kept row by row.

    `after`: only rows whose last event is behind this position, and of accounts those that the fold knows.
    """

    def __init__(self, connection: sa.Connection, head: int, *, after: int = 0) -> None:
        self._connection = connection
        self._head = head
        self._after = after
        self._mysql = connection.dialect.name != "sqlite"
        self.accounts: dict[str, Account] = {}
        self.orders = RowSums()
        self.accepted = 0
        self._marked = bytearray(head + 1)

    def read(self, tick: Callable[[], None]) -> Finding | None:
        """Read everything; return what is wrong by itself. `tick` is called now and then."""
        table = schema.accounts
        for row in self._connection.execute(sa.select(table)).mappings():
            self.accounts[row["account_id"]] = Account(**row)
        tick()
        found = (self._read_orders(tick), self._read_outcomes(tick), self._read_details(tick))
        return min((each for each in found if each is not None), key=lambda each: each.position, default=None)

    def compare(self, fold: Stitched) -> Finding | None:
        """Return the first position where the tables are not what the fold leads to."""
        for order in fold.orders.values():
            fold.sums.add_order(order)
        found = (self._accounts(fold), self._orders(fold.sums), self._outcomes(), self._reversals(fold))
        return min((each for each in found if each is not None), key=lambda each: each.position, default=None)

    # -- orders

    def _read_orders(self, tick: Callable[[], None]) -> Finding | None:
        add = self.orders.add
        expression = _ORDER_ROW_MYSQL if self._mysql else _ORDER_ROW_SQLITE
        for rows in self._pages("orders", "order_id", expression, f"position>{self._after}"):
            for row in rows:
                placed, _, rest = row.partition(b"\x1f")
                try:
                    add(int(placed), rest)
                except ValueError:
                    return Finding(1, "a row of orders cannot be read")
            tick()
        return None

    def _orders(self, wanted: RowSums) -> Finding | None:
        buckets = set(wanted.by_bucket) | set(self.orders.by_bucket)
        unequal = [each for each in buckets if wanted.by_bucket.get(each) != self.orders.by_bucket.get(each)]
        if not unequal:
            return None
        position = max(1, min(unequal) << BUCKET_BITS)
        unnamed = Finding(position, "the table orders differs from the log for the orders placed from here on")
        if self._after:
            return unnamed
        return min(self._unequal_orders(min(unequal)), key=lambda each: each.position, default=unnamed)

    def _unequal_orders(self, bucket: int) -> Iterator[Finding]:
        # One bucket is compared order by order, with the ledger's own fold.
        low, high = bucket << BUCKET_BITS, ((bucket + 1) << BUCKET_BITS) - 1
        events, orders = schema.events.c, schema.orders.c
        placed = sa.select(events.order_id).where(events.type == "order.placed", events.position.between(low, high))
        ids = set(self._connection.execute(placed.where(events.position <= self._head)).scalars())
        rows = sa.select(orders.order_id, orders.placed_position).where(orders.placed_position.between(low, high))
        for order_id, position in self._connection.execute(rows):
            if order_id not in ids:
                yield Finding(position, f"the table orders has {order_id}, which was not placed here")
        stored = orders_by_id(self._connection, list(ids))
        for order_id, history in log.events_of_orders(self._connection, list(ids)).items():
            folded = order_from(history, up_to=self._head)
            if stored.get(order_id) != folded:
                yield Finding(folded.position, f"the table orders does not have {order_id} as this event left it")

    # -- outcomes

    def _read_outcomes(self, tick: Callable[[], None]) -> Finding | None:
        marked = self._marked
        for rows in self._pages(
            "outcomes", "key_digest", "position", f"position>{self._after}" if self._after else "position IS NOT NULL"
        ):
            self.accepted += len(rows)
            positions = list(map(int, rows))
            if positions and not self._after < min(positions) <= max(positions) <= self._head:
                return Finding(self._head + 1, "an outcome names a position that the log does not have")
            for position in positions:
                marked[position] = 1
            tick()
        return None

    def _outcomes(self) -> Finding | None:
        # As many as there are events, and each event has one: then none is named twice.
        unnamed = self._marked.find(0, self._after + 1)
        if unnamed > 0:
            return Finding(unnamed, "no outcome names this position")
        if self.accepted != self._head - self._after:
            return Finding(
                self._after + 1, f"{self.accepted} outcomes name positions of {self._head - self._after} events"
            )
        return None

    # -- details

    def _read_details(self, tick: Callable[[], None]) -> Finding | None:
        # A text that is gone is no finding: an erasure removes them before it says so in the log.
        joined = "details LEFT JOIN events USING (position)"
        expression = _ALTERED_MYSQL if self._mysql else _ALTERED_SQLITE
        for rows in self._pages(joined, "position", expression, after=None if self._after == 0 else self._after):
            altered = [int(each) for each in rows if each != b""]
            if altered:
                return Finding(max(1, min(altered)), "the table details has a text here that no event has the hash of")
            tick()
        return None

    # -- accounts

    def _accounts(self, fold: Stitched) -> Finding | None:
        findings = []
        for account_id, part in fold.accounts.items():
            stored = self.accounts.pop(account_id.decode(), None)
            if stored != account_row(part):
                name = account_id.decode()
                findings.append(
                    Finding(part.position, f"the table accounts does not have {name} as this event left it")
                )
        findings += [
            Finding(max(1, each.position), f"the table accounts has {each.account_id}, which was never opened")
            for each in self.accounts.values()
            if each.position > self._after
        ]
        return min(findings, key=lambda each: each.position, default=None)

    # -- reversals

    def _reversals(self, fold: Stitched) -> Finding | None:
        table = schema.reversals
        query = sa.select(table.c.position, table.c.reverses_position).where(table.c.position > self._after)
        rows = self._connection.execute(query)
        stored: dict[int, int] = {row.position: row.reverses_position for row in rows}
        wanted = {
            position: (reverses, part.account_id.decode(), amount)
            for part in fold.accounts.values()
            for position, reverses, amount in part.reversals
        }
        undone: dict[int, int] = {}
        findings = []
        for position, (reverses, account_id, amount) in sorted(wanted.items()):
            if reverses in undone:
                findings.append(Finding(position, f"position {reverses} was reversed at {undone[reverses]} already"))
            undone[reverses] = position
            if reverses >= position or self._effect(reverses, account_id) != -amount:
                findings.append(
                    Finding(position, f"position {reverses} is not a transaction of that amount to reverse")
                )
            if stored.pop(position, None) != reverses:
                findings.append(Finding(position, "the table reversals does not have this event's reversal"))
        findings += [Finding(max(1, position), "the table reversals has a row without an event") for position in stored]
        return min(findings, key=lambda each: each.position, default=None)

    def _effect(self, position: int, account_id: str) -> int | None:
        event = log.event_at(self._connection, position)
        if event is None or event.account_id != account_id or event.type not in _SIGNS:
            return None
        content = codec.decode(event.type, event.schema_version, event.data)
        amount: int = getattr(content, "amount_minor", 0)
        return _SIGNS[event.type] * amount

    # -- pages

    def _pages(
        self, table: str, key: str, expression: str, condition: str = "1=1", *, after: Any = None
    ) -> Iterator[list[Any]]:
        """Yield the values of the expression for the rows of a table that fulfil the condition, in pages by its key, from
        the one behind `after` on.
        """
        while True:
            where, values = ("1=1", ()) if after is None else (f"{key}>{self._mark}", (after,))
            bound = self._connection.exec_driver_sql(
                f"SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT 1 OFFSET {PAGE_ROWS - 1}", values
            ).scalar()
            if bound is not None:
                where, values = f"{where} AND {key}<={self._mark}", (*values, bound)
            yield self._values(table, expression, f"{where} AND {condition}", values)
            if bound is None:
                return
            after = bound

    @property
    def _mark(self) -> str:
        return "%s" if self._mysql else "?"

    def _values(self, table: str, expression: str, where: str, values: tuple[Any, ...]) -> list[Any]:
        query = self._connection.exec_driver_sql
        if self._mysql:
            joined = f"SELECT COUNT(*),GROUP_CONCAT({expression} SEPARATOR X'1E') FROM {table} WHERE {where}"
            count, value = query(joined, values).one()
            if count == 0:
                return []
            pieces = (value if isinstance(value, bytes) else str(value).encode()).split(b"\x1e")
            # More pieces than rows: a value holds the separator.
            if len(pieces) == count:
                return list(pieces)
        rows = query(f"SELECT {expression} FROM {table} WHERE {where}", values).scalars().all()
        return [each.encode() if isinstance(each, str) else each for each in rows]


_SIGNS = {"recharge.posted": 1, "deduction.posted": -1}
_ALTERED = "CASE WHEN details_hash={} THEN '' ELSE position END"
"""Of a text beside an event: its position, unless it is the one that the event has the hash of."""
_ALTERED_MYSQL = _ALTERED.format("UNHEX(SHA2(CONCAT(salt,details),256))")
_ALTERED_SQLITE = _ALTERED.format("COMMITMENT(CAST(salt AS BLOB),CAST(details AS BLOB))")


def account_row(part: Part) -> Account:
    """Return the row of `accounts` that the fold leads to."""
    return Account(
        account_id=part.account_id.decode(),
        version=part.version,
        currency=part.currency or "",
        status=part.status or "",
        level_id=part.level_id,
        discount_percent=part.percent or "",
        credit_limit_minor=part.credit or 0,
        available_minor=part.available,
        held_minor=part.held,
        position=part.position,
    )


_ORDER_FIELDS = (
    *("placed_position", "position", "'status", "attempt", "'executor", "'code", "delivered", "captured_minor"),
    *("released_minor", "'product", "quantity", "'unit_price", "list_amount_minor", "'discount_percent"),
    *("amount_minor", "'currency", "'reference"),
)
"""What order_books.row puts down of an order, in that order; texts are marked."""


def _order_row(separator: str) -> list[str]:
    """Return the SQL parts of a row of `orders`: placed position, separator, the bytes that order_books.row makes."""
    parts = ["placed_position", separator, "order_id", "' '", "account_id", "' ['"]
    for index, field in enumerate(_ORDER_FIELDS):
        column = field.removeprefix("'")
        value = f"LOWER(HEX({column}))" if column == "reference" else column
        comma = "" if index == 0 else ","
        if column == field:
            parts += [f"'{comma}'", column] if comma else [column]
        else:
            parts += [f"'{comma}\"'", f"CASE WHEN {column} IS NULL THEN '{MISSING}' ELSE {value} END", "'\"'"]
    return [*parts, "']'"]


_ORDER_ROW_MYSQL = "CONCAT(" + ",".join(_order_row("X'1F'")) + ")"
_ORDER_ROW_SQLITE = "CAST(" + "||".join(_order_row("char(31)")) + " AS BLOB)"
