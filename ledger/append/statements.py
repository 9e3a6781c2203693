"""The SQL text of a group: what to read under the head's lock, and what to write before the commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger import schema
from ledger.accounts import Account
from ledger.append.entry import Entry
from ledger.append.group import Loaded, Plan, Stored
from ledger.append.literals import binary, integer, token
from ledger.commands import OrderCommand, ReverseTransaction
from ledger.decide import State
from ledger.errors import CorruptLog
from ledger.events import Recorded
from ledger.orders import Order

Rows = Sequence[Sequence[Any]]

ROWS_PER_STATEMENT = 1_000
ACCOUNT_COLUMNS = tuple(schema.accounts.columns.keys())
ORDER_COLUMNS = tuple(schema.orders.columns.keys())
EVENT_COLUMNS = tuple(schema.events.columns.keys())
_ACCOUNTS, _ORDERS, _EVENTS = ",".join(ACCOUNT_COLUMNS), ",".join(ORDER_COLUMNS), ",".join(EVENT_COLUMNS)
_HEAD = "SELECT position,recorded_at_us FROM log_head WHERE id=1"


def reading(entries: Iterable[Entry], *, lock: bool, mysql: bool) -> dict[str, str]:
    """Return the statements that load what the entries touch, by what they load; the head's lock comes first.

    What no entry touches is left out: an empty statement costs the server as much as a useful one.
    """
    account_ids: set[str] = set()
    order_ids: set[str] = set()
    reversed_positions: set[int] = set()
    digests: list[str] = []
    for entry in entries:
        digests.append(binary(entry.digest))
        command = entry.submission.command
        if isinstance(command, OrderCommand):
            order_ids.add(command.order_id)
        else:
            account_ids.add(command.account_id)
        if isinstance(command, ReverseTransaction):
            reversed_positions.add(command.reverses_position)
    account_ids.discard("")
    found = {
        "head": _HEAD + (" FOR UPDATE" if lock and mysql else ""),
        "outcomes": f"SELECT key_digest,fingerprint,position,refusal FROM outcomes WHERE {_in('key_digest', digests)}",
    }
    if account_ids:
        found["accounts"] = f"SELECT {_ACCOUNTS} FROM accounts WHERE {_in('account_id', map(token, account_ids))}"
    if order_ids:
        listed = _in("order_id", map(token, order_ids))
        owners = f"account_id IN (SELECT account_id FROM orders WHERE {listed})"
        found["owners"] = f"SELECT {_ACCOUNTS} FROM accounts WHERE {owners}"
        found["orders"] = f"SELECT {_ORDERS} FROM orders WHERE {listed}"
    if reversed_positions:
        listed = _in("reverses_position", map(integer, reversed_positions))
        found["reversals"] = f"SELECT reverses_position,position FROM reversals WHERE {listed}"
    return found


def loaded(results: Mapping[str, Rows]) -> Loaded:
    """Build the state from the rows of `reading`, under the same names. Raises CorruptLog when the log has no head."""
    heads = results["head"]
    if len(heads) != 1:
        raise CorruptLog()
    state = State(
        accounts={row[0]: account_from(row) for name in ("accounts", "owners") for row in results.get(name, ())},
        orders={row[0]: order_from(row) for row in results.get("orders", ())},
        reversed_by={row[0]: row[1] for row in results.get("reversals", ())},
    )
    stored = {bytes(row[0]): Stored(bytes(row[0]), bytes(row[1]), row[2], row[3]) for row in results["outcomes"]}
    return Loaded(position=heads[0][0], recorded_at_us=heads[0][1], state=state, outcomes=stored)


def account_from(row: Sequence[Any]) -> Account:
    """Build an account from a row of ACCOUNT_COLUMNS."""
    return Account(**dict(zip(ACCOUNT_COLUMNS, row, strict=True)))


def order_from(row: Sequence[Any]) -> Order:
    """Build an order from a row of ORDER_COLUMNS."""
    values = dict(zip(ORDER_COLUMNS, row, strict=True))
    if values["reference"] is not None:
        values["reference"] = bytes(values["reference"]).decode("utf-8")
    return Order(**values)


def writing(plan: Plan, *, mysql: bool) -> list[str]:
    """Return the statements that write the plan, the commit left out; empty when there is nothing to write."""
    if not plan.outcomes:
        return []
    state = plan.state
    statements = [
        *_insert("events", _EVENTS, map(_event_row, plan.events)),
        *_insert(
            "details",
            "position,salt,details",
            (f"({position},{binary(salt)},{binary(text)})" for position, salt, text in plan.details),
        ),
        *_insert(
            "accounts",
            _ACCOUNTS,
            (_account_row(state.accounts[each]) for each in plan.accounts),
            _upsert(ACCOUNT_COLUMNS, mysql=mysql),
        ),
        *_insert("orders", _ORDERS, (_order_row(state.orders[each]) for each in plan.orders_new)),
        *_insert(
            "orders",
            _ORDERS,
            (_order_row(state.orders[each]) for each in plan.orders_changed),
            _upsert(ORDER_COLUMNS, mysql=mysql),
        ),
        *_insert(
            "reversals",
            "reverses_position,position",
            (f"({reverses},{position})" for reverses, position in plan.reversals),
        ),
        *_insert(
            "outcomes",
            "key_digest,actor,idempotency_key,fingerprint,kind,position,refusal,recorded_at_us",
            (_outcome_row(each.entry, each.position, each.refusal, plan.recorded_at_us) for each in plan.outcomes),
        ),
    ]
    if plan.events:
        statements.append(
            f"UPDATE log_head SET position={integer(plan.position)},recorded_at_us={integer(plan.recorded_at_us)} WHERE id=1"
        )
    return statements


def _in(column: str, literals: Iterable[str]) -> str:
    return f"{column} IN ({','.join(literals)})"


def _insert(table: str, columns: str, rows: Iterable[str], suffix: str = "") -> list[str]:
    values = list(rows)
    return [
        f"INSERT INTO {table} ({columns}) VALUES {','.join(values[start : start + ROWS_PER_STATEMENT])}{suffix}"
        for start in range(0, len(values), ROWS_PER_STATEMENT)
    ]


def _upsert(columns: Sequence[str], *, mysql: bool) -> str:
    key, *rest = columns
    if mysql:
        return " ON DUPLICATE KEY UPDATE " + ",".join(f"{column}=VALUES({column})" for column in rest)
    return f" ON CONFLICT({key}) DO UPDATE SET " + ",".join(f"{column}=excluded.{column}" for column in rest)


def _event_row(event: Recorded) -> str:
    return (
        f"({integer(event.position)},{binary(event.event_id)},{token(event.account_id)},{integer(event.version)},{token(event.type)},"
        f"{integer(event.schema_version)},{token(event.order_id)},{token(event.actor)},{binary(event.idempotency_key)},"
        f"{token(event.correlation_id)},{token(event.causation_id)},{integer(event.recorded_at_us)},{integer(event.available_minor)},"
        f"{integer(event.held_minor)},{binary(event.details_hash)},{binary(event.data)},{binary(event.postings)},"
        f"{binary(event.leaf_hash)})"
    )


def _account_row(account: Account) -> str:
    return (
        f"({token(account.account_id)},{integer(account.version)},{token(account.currency)},{token(account.status)},"
        f"{token(account.level_id)},{token(account.discount_percent)},{integer(account.credit_limit_minor)},"
        f"{integer(account.available_minor)},{integer(account.held_minor)},{integer(account.position)})"
    )


def _order_row(order: Order) -> str:
    reference = None if order.reference is None else order.reference.encode("utf-8")
    return (
        f"({token(order.order_id)},{token(order.account_id)},{token(order.status)},{token(order.product)},{integer(order.quantity)},"
        f"{token(order.unit_price)},{integer(order.list_amount_minor)},{token(order.discount_percent)},{integer(order.amount_minor)},"
        f"{token(order.currency)},{binary(reference)},{integer(order.attempt)},{token(order.executor)},{integer(order.delivered)},"
        f"{integer(order.captured_minor)},{integer(order.released_minor)},{token(order.code)},{integer(order.placed_position)},"
        f"{integer(order.position)})"
    )


def _outcome_row(entry: Entry, position: int | None, refusal: bytes | None, recorded_at_us: int) -> str:
    submission = entry.submission
    return (
        f"({binary(entry.digest)},{token(submission.actor)},{binary(submission.idempotency_key.encode('utf-8'))},"
        f"{binary(entry.fingerprint)},{token(submission.command.KIND)},{integer(position)},{binary(refusal)},{integer(recorded_at_us)})"
    )
