"""What changed between two positions, as JSON, as CSV and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from orderledger.audit.printing import amount, print_table

if TYPE_CHECKING:
    from ledger.audit.changes import AccountChange, Changes, Moved, OrderChange

DIFF_COLUMNS = ("record", "id", "field", "currency", "before", "after", "difference")
"""Of CSV: one line a figure. A record is an account, an order, the number of orders, or a sum of what came and went."""
MONEY = ("available", "held", "total")
ENDED = ("captured", "released")
MOVED = ("recharged", "deducted", "reversed", "captured")


def diff_document(changes: Changes) -> Mapping[str, Any]:
    """Return the changes, amounts in the currency's own digits."""
    from ledger.clock import rfc3339
    from ledger.orders import STATUSES

    before, after = changes.statuses
    places = [
        {"position": position, "recorded_at": None if time_us is None else rfc3339(time_us)}
        for position, time_us in zip((changes.first, changes.last), changes.times_us, strict=True)
    ]
    return {
        "from": places[0],
        "to": places[1],
        "accounts": [_account(each) for each in changes.accounts],
        "order_statuses": [
            {"status": status, **_numbers(before.get(status, 0), after.get(status, 0))}
            for status in STATUSES
            if before.get(status) != after.get(status)
        ],
        "orders": [_order(each) for each in changes.orders],
        "sums": [_moved(code, each) for code, each in sorted(changes.moved.items())],
    }


def diff_rows(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of CSV."""
    for account in document["accounts"]:
        for name in MONEY:
            yield _line("account", account["customer_id"], name, account["currency"], account)
    for order in document["orders"]:
        status = {"before": order["status_before"], "after": order["status_after"]}
        yield {"record": "order", "id": order["id"], "field": "status", **status}
        for name in ENDED:
            yield _line("order", order["id"], name, order["currency"], order)
    for each in document["order_statuses"]:
        yield {"record": "orders", "field": each["status"], **each}
    for each in document["sums"]:
        for name in MOVED:
            yield {"record": "sum", "field": name, "currency": each["currency"], "difference": each[name]}


def print_diff(document: Mapping[str, Any]) -> None:
    """Print tables of what changed."""
    for word, place in (("from", document["from"]), ("to", document["to"])):
        click.echo(f"{word} position {place['position']}, recorded {place['recorded_at'] or 'never'}")
    if not any(document[name] for name in ("accounts", "order_statuses", "orders", "sums")):
        click.echo("nothing changed")
    accounts = [each | {name: _way(each, name) for name in MONEY} for each in document["accounts"]]
    print_table("accounts", ("customer_id", *MONEY, "currency"), accounts)
    print_table("orders by status", ("status", *_ENDS), document["order_statuses"])
    orders = [each | {"captured": _way(each, "captured")} for each in document["orders"]]
    columns = ("id", "product", "quantity", "amount", "status_before", "status_after", "captured", "currency")
    print_table("orders", columns, orders)
    print_table("in sum", (*MOVED, "currency"), document["sums"])


_ENDS = ("before", "after", "difference")


def _way(of: Mapping[str, Any], name: str) -> str:
    return f"{of[f'{name}_before']} → {of[f'{name}_after']} ({of[f'{name}_difference']})"


def _account(change: AccountChange) -> dict[str, Any]:
    found: dict[str, Any] = {"customer_id": change.account_id, "currency": change.currency}
    (available, held), (available_after, held_after) = change.before, change.after
    pairs = ((available, available_after), (held, held_after), (available + held, available_after + held_after))
    for name, pair in zip(MONEY, pairs, strict=True):
        found |= _amounts(name, *pair, change.currency)
    return found


def _order(change: OrderChange) -> dict[str, Any]:
    before, after = change.before, change.after
    found = {
        "id": after.order_id,
        "customer_id": after.account_id,
        "product": after.product,
        "quantity": after.quantity,
        "amount": amount(after.amount_minor, after.currency),
        "currency": after.currency,
        "status_before": None if before is None else before.status,
        "status_after": after.status,
    }
    for name in ENDED:
        was = 0 if before is None else getattr(before, f"{name}_minor")
        found |= _amounts(name, was, getattr(after, f"{name}_minor"), after.currency)
    return found


def _moved(code: str, moved: Moved) -> dict[str, str]:
    return {"currency": code, **{name: amount(getattr(moved, f"{name}_minor"), code) for name in MOVED}}


def _amounts(name: str, before: int, after: int, code: str) -> dict[str, str]:
    return {f"{name}_{word}": amount(value, code) for word, value in _numbers(before, after).items()}


def _numbers(before: int, after: int) -> dict[str, int]:
    return {"before": before, "after": after, "difference": after - before}


def _line(record: str, name: str, field: str, code: str, of: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "record": record,
        "id": name,
        "field": field,
        "currency": code,
        **{which: of[f"{field}_{which}"] for which in _ENDS},
    }
