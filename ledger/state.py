"""Read the write-side state, as of now or as of a position, and the outcomes of earlier commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ledger import codec, log, orders, schema
from ledger.accounts import Account
from ledger.errors import CorruptLog, refusal_from
from ledger.events import OrderEvent, Recorded
from ledger.orders import Order
from ledger.submission import Balance, Outcome, key_digest


def account(connection: sa.Connection, account_id: str) -> Account | None:
    """Return the account, None when it was never opened."""
    return accounts_by_id(connection, [account_id]).get(account_id)


def accounts_by_id(connection: sa.Connection, account_ids: Sequence[str]) -> dict[str, Account]:
    """Return the accounts with these ids."""
    rows = _rows_in(connection, schema.accounts, schema.accounts.c.account_id, account_ids)
    return {row["account_id"]: Account(**row) for row in rows}


def order(connection: sa.Connection, order_id: str) -> Order | None:
    """Return the order, None when it was never placed."""
    return orders_by_id(connection, [order_id]).get(order_id)


def orders_by_id(connection: sa.Connection, order_ids: Sequence[str]) -> dict[str, Order]:
    """Return the orders with these ids."""
    rows = _rows_in(connection, schema.orders, schema.orders.c.order_id, order_ids)
    return {row["order_id"]: _order(row) for row in rows}


def orders_found(connection: sa.Connection, query: sa.Select[Any]) -> list[Order]:
    """Return the orders that a query over the table of orders, all its columns, finds."""
    return [_order(dict(row)) for row in connection.execute(query).mappings()]


def balance_at(connection: sa.Connection, account_id: str, position: int | None = None) -> Balance | None:
    """Return the account's balance now, or right after the event at a position; None when it was not open then."""
    now = account(connection, account_id)
    if now is None:
        return None
    if position is None or position >= now.position:
        return Balance(
            available_minor=now.available_minor,
            held_minor=now.held_minor,
            currency=now.currency,
            version=now.version,
            position=now.position,
        )
    event = log.account_event_before(connection, account_id, position)
    return None if event is None else _balance_after(event, now.currency)


def order_from(events: Sequence[Recorded], *, up_to: int | None = None) -> Order:
    """Fold an order's events, up to a position, into its state. Raises CorruptLog when there are none."""
    folded: Order | None = None
    for each in events:
        if up_to is not None and each.position > up_to:
            break
        event = codec.decode(each.type, each.schema_version, each.data)
        if not isinstance(event, OrderEvent) or each.order_id is None:
            raise CorruptLog()
        folded = orders.evolve(
            folded, event, order_id=each.order_id, account_id=each.account_id, position=each.position
        )
    if folded is None:
        raise CorruptLog()
    return folded


def stored_outcome(connection: sa.Connection, actor: str, idempotency_key: str) -> Outcome | None:
    """Return the outcome stored under a client's key, None when there is none (yet)."""
    digest = key_digest(actor, idempotency_key)
    table = schema.outcomes
    row = connection.execute(
        sa.select(table.c.position, table.c.refusal).where(table.c.key_digest == digest)
    ).one_or_none()
    return None if row is None else outcomes_of(connection, [(digest, row[0], row[1])])[digest]


def outcomes_of(
    connection: sa.Connection, stored: Sequence[tuple[bytes, int | None, bytes | None]]
) -> dict[bytes, Outcome]:
    """Build outcomes again from what is stored: digest, position of the event, JSON of the refusal."""
    positions = [position for _, position, _ in stored if position is not None]
    events = log.events_at(connection, positions)
    details = log.details_at(
        connection, [event.position for event in events.values() if event.details_hash is not None]
    )
    histories = log.events_of_orders(
        connection, [event.order_id for event in events.values() if event.order_id is not None]
    )
    accounts = accounts_by_id(connection, [event.account_id for event in events.values()])
    end = log.head(connection).position
    found: dict[bytes, Outcome] = {}
    for digest, position, refusal in stored:
        if position is None:
            found[digest] = Outcome(position=end, replayed=True, error=None if refusal is None else _refusal(refusal))
            continue
        event = events[position]
        found[digest] = Outcome(
            position=position,
            replayed=True,
            event=event,
            order=None if event.order_id is None else order_from(histories[event.order_id], up_to=position),
            balance=_balance_after(event, accounts[event.account_id].currency),
            details=details.get(position),
        )
    return found


def _order(row: dict[str, Any]) -> Order:
    if row["reference"] is not None:
        # Bytes that are no text were not stored by us: an audit finds them different from the log's.
        row["reference"] = bytes(row["reference"]).decode("utf-8", "replace")
    return Order(**row)


def _refusal(stored: bytes) -> Any:
    content = json.loads(stored)
    return refusal_from(content["code"], content["fields"])


def _balance_after(event: Recorded, currency: str) -> Balance:
    return Balance(
        available_minor=event.available_minor,
        held_minor=event.held_minor,
        currency=currency,
        version=event.version,
        position=event.position,
    )


def _rows_in(
    connection: sa.Connection, table: sa.Table, column: sa.Column[str], values: Sequence[str]
) -> list[dict[str, Any]]:
    unique = list(dict.fromkeys(values))
    rows: list[dict[str, Any]] = []
    for start in range(0, len(unique), log.PAGE_EVENTS):
        page = unique[start : start + log.PAGE_EVENTS]
        rows += [dict(row) for row in connection.execute(sa.select(table).where(column.in_(page))).mappings()]
    return rows
