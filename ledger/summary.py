"""What a ledger comes to at a glance: the money of all accounts, and what happened since a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ledger import log, schema

AMOUNTS = {
    "recharge.posted": "amount_minor",
    "deduction.posted": "amount_minor",
    "order.placed": "amount_minor",
    "order.completed": "captured_minor",
}
"""The field of an event's data that is summed, by type; of other types the events are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The money of all accounts in a currency, in minor units."""

    currency: str
    accounts: int
    available_minor: int
    held_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """How many events of a type there were in a currency's accounts, and what their amounts come to."""

    type: str
    currency: str
    events: int
    amount_minor: int


def money(connection: sa.Connection) -> Sequence[Money]:
    """Return the sums of all accounts by currency."""
    accounts = schema.accounts.c
    query = sa.select(
        accounts.currency,
        sa.func.count(),
        sa.func.sum(accounts.available_minor),
        sa.func.sum(accounts.held_minor),
    ).group_by(accounts.currency)
    return [
        Money(currency=code, accounts=count, available_minor=int(available), held_minor=int(held))
        for code, count, available, held in connection.execute(query.order_by(accounts.currency))
    ]


def happened_since(connection: sa.Connection, time_us: int) -> Sequence[Happened]:
    """Return what happened after a time, by type and currency; reads the events of that span."""
    events, accounts = schema.events.c, schema.accounts.c
    amount = sa.case(
        *((events.type == name, _number(connection, events.data, field)) for name, field in AMOUNTS.items()), else_=0
    )
    query = (
        sa.select(events.type, accounts.currency, sa.func.count(), sa.func.sum(amount))
        .join(schema.accounts, accounts.account_id == events.account_id)
        .where(events.position > log.position_at(connection, time_us))
        .group_by(events.type, accounts.currency)
        .order_by(events.type, accounts.currency)
    )
    return [
        Happened(type=name, currency=code, events=count, amount_minor=int(total))
        for name, code, count, total in connection.execute(query)
    ]


def _number(connection: sa.Connection, data: sa.ColumnElement[bytes], field: str) -> sa.ColumnElement[int]:
    if connection.dialect.name == "sqlite":
        return sa.func.json_extract(sa.cast(data, sa.Text), f"$.{field}")
    text = sa.func.convert(sa.text("events.data USING utf8mb4"))
    return sa.cast(sa.func.json_value(text, f"$.{field}"), sa.BigInteger)
