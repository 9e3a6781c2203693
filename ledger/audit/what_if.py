"""Replay the log with other prices, for one customer or all.

Before the range of orders that are repriced only the terms of accounts are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from ledger import codec, log, state
from ledger.audit.repricing import TERM_TYPES, TOLD_TYPES, TYPES, Effect, Repricing, WhatIf
from ledger.errors import AccountNotFound, CorruptLog
from ledger.events import Recorded
from ledger.log import PAGE_EVENTS, Excerpt
from ledger.money import currency, format_amount

PAGE_POSITIONS = 5_000
"""Positions that one query looks through."""
TERMS_SHARE = 10
"""So many positions before the range cost what one within it does."""
AMOUNTS = ("placed", "captured", "held")
COLUMNS = (
    "currency",
    "orders",
    *(f"{name}{end}" for name in AMOUNTS for end in ("", "_if", "_difference")),
    "available_difference",
    "refused",
    "short",
    "short_position",
)
"""What `row` says of an effect."""
_Page = Sequence[Excerpt] | Sequence[Recorded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What other prices would have changed until a position, by account id."""

    position: int
    effects: Mapping[str, Effect]


def what_if(
    connection: sa.Connection,
    repricing: Repricing,
    *,
    customer_id: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Replay to the end of the log. `progress` is told how many of its positions are done.

    Raises AccountNotFound, CorruptLog for a log that breaks its rules.
    """
    fold, end = WhatIf(repricing), log.head(connection).position
    if customer_id is None:
        pages = _of_all(connection, min(repricing.first - 1, end), end)
    else:
        _ensure_open(connection, customer_id)
        pages = _of_one(connection, customer_id, end)
    try:
        for page, done in pages:
            for event in page:
                fold.take(
                    event.position,
                    event.account_id,
                    event.type,
                    event.order_id,
                    event.available_minor,
                    _content(event) if event.type in TOLD_TYPES else {},
                )
            progress(done, end)
    except (KeyError, ValueError):
        raise CorruptLog() from None
    return Found(position=end, effects=fold.effects)


def events_to_read(connection: sa.Connection, repricing: Repricing, *, customer_id: str | None = None) -> int:
    """Return what a replay costs, in events. Raises AccountNotFound."""
    if customer_id is not None:
        return _ensure_open(connection, customer_id)
    end = log.head(connection).position
    before = min(repricing.first - 1, end)
    return end - before + before // TERMS_SHARE


def row(effect: Effect) -> dict[str, Any]:
    """Return an effect as COLUMNS, amounts in the currency's own digits; `…_difference` is how much more it would be."""
    unit, found = currency(effect.currency), {"currency": effect.currency, "orders": effect.orders}
    for name in AMOUNTS:
        was, would_be = getattr(effect, f"{name}_minor"), getattr(effect, f"{name}_if_minor")
        for end, amount_minor in (("", was), ("_if", would_be), ("_difference", would_be - was)):
            found[f"{name}{end}"] = format_amount(amount_minor, unit)
    found["available_difference"] = format_amount(effect.available_shift_minor, unit)
    return {**found, "refused": effect.refused, "short": effect.short, "short_position": effect.short_position}


def _of_all(connection: sa.Connection, before: int, end: int) -> Iterator[tuple[_Page, int]]:
    for types, first, last in ((TERM_TYPES, 0, before), (TYPES, before, end)):
        for after in range(first, last, PAGE_POSITIONS):
            up_to = min(after + PAGE_POSITIONS, last)
            yield log.excerpts_of_types(connection, types, after=after, up_to=up_to), up_to


def _of_one(connection: sa.Connection, customer_id: str, end: int) -> Iterator[tuple[_Page, int]]:
    after = 0
    while page := log.account_events(connection, customer_id, after=after, up_to=end, limit=PAGE_EVENTS):
        after = page[-1].position
        yield [each for each in page if each.type in TYPES], after


def _content(event: Excerpt | Recorded) -> dict[str, Any]:
    data = event.data
    return codec.content(event.type, event.schema_version, data if isinstance(data, str) else data.decode())


def _ensure_open(connection: sa.Connection, customer_id: str) -> int:
    """Return the account's version. Raises AccountNotFound."""
    account = state.account(connection, customer_id)
    if account is None:
        raise AccountNotFound(account_id=customer_id)
    return account.version
