"""The SQL text that writes what a group was decided to, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ledger import schema
from ledger.accounts import Account
from ledger.append.entry import Entry
from ledger.append.group import NewOutcome, Plan
from ledger.append.literals import binary, token, word
from ledger.events import Recorded
from ledger.orders import Order

ROWS_PER_STATEMENT = 1_000
PACKET_BYTES_MAX = 4 * 1024 * 1024
"""Rows are written together, and statements sent together, up to this size; by default a server takes 16 MiB."""
ACCOUNT_COLUMNS = tuple(schema.accounts.columns.keys())
MONEY_COLUMNS = ("account_id", "version", "available_minor", "held_minor", "position")
"""What changes of an account when money moves."""
ORDER_COLUMNS = tuple(schema.orders.columns.keys())
EVENT_COLUMNS = tuple(schema.events.columns.keys())
_ACCOUNTS, _ORDERS, _EVENTS = ",".join(ACCOUNT_COLUMNS), ",".join(ORDER_COLUMNS), ",".join(EVENT_COLUMNS)


def writing(plan: Plan, *, mysql: bool) -> list[str]:
    """Return the statements that write what of the plan is not written yet, the commit left out; empty for nothing."""
    if not plan.outcomes:
        return []
    state = plan.state
    statements = [
        *growing(plan),
        *_insert(
            "details",
            "position,salt,details",
            (f"({position:d},{binary(salt)},{binary(text)})" for position, salt, text in plan.details),
        ),
        *_insert(
            "accounts",
            _ACCOUNTS,
            (_account_row(state.accounts[each]) for each in plan.accounts_reshaped),
            _upsert(ACCOUNT_COLUMNS, mysql=mysql),
        ),
        *_insert(
            "accounts",
            _ACCOUNTS,
            (_account_row(state.accounts[each]) for each in plan.accounts - plan.accounts_reshaped),
            _upsert(MONEY_COLUMNS, mysql=mysql),
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
            (f"({reverses:d},{position:d})" for reverses, position in plan.reversals),
        ),
    ]
    if plan.events:
        statements.append(
            f"UPDATE log_head SET position={plan.position:d},recorded_at_us={plan.recorded_at_us:d} WHERE id=1"
        )
    return statements


def growing(plan: Plan) -> list[str]:
    """Return the statements that insert the events and outcomes that came to the plan since the last time."""
    events, outcomes = plan.events[plan.events_written :], plan.outcomes[plan.outcomes_written :]
    plan.events_written, plan.outcomes_written = len(plan.events), len(plan.outcomes)
    accepted = [each for each in outcomes if each.position is not None]
    others = [each for each in outcomes if each.position is None]
    return [
        *writing_events(events),
        *_insert("outcomes", "key_digest,fingerprint,position", map(_accepted_row, accepted)),
        *_insert(
            "outcomes",
            "key_digest,fingerprint,refusal,actor,idempotency_key,kind,recorded_at_us",
            (_other_row(each.entry, each.refusal, plan.recorded_at_us) for each in others),
        ),
    ]


def writing_events(events: Sequence[Recorded]) -> list[str]:
    """Return the statements that insert events."""
    return _insert("events", _EVENTS, map(_event_row, events))


def _insert(table: str, columns: str, rows: Iterable[str], suffix: str = "") -> list[str]:
    return [f"INSERT INTO {table} ({columns}) VALUES {','.join(part)}{suffix}" for part in _parts(list(rows))]


def _parts(rows: Sequence[str]) -> Iterator[Sequence[str]]:
    """Divide rows among statements that a server takes."""
    start = size = 0
    for index, row in enumerate(rows):
        if index > start and (index - start == ROWS_PER_STATEMENT or size + len(row) > PACKET_BYTES_MAX):
            yield rows[start:index]
            start, size = index, 0
        size += len(row)
    if rows:
        yield rows[start:]


def _upsert(columns: Sequence[str], *, mysql: bool) -> str:
    key, *rest = columns
    if mysql:
        return " ON DUPLICATE KEY UPDATE " + ",".join(f"{column}=VALUES({column})" for column in rest)
    return f" ON CONFLICT({key}) DO UPDATE SET " + ",".join(f"{column}=excluded.{column}" for column in rest)


def _event_row(event: Recorded) -> str:
    return (
        f"({event.position:d},X'{event.event_id.hex()}',{token(event.account_id)},{event.version:d},{word(event.type)},"
        f"{event.schema_version:d},{token(event.order_id)},{word(event.actor)},X'{event.idempotency_key.hex()}',"
        f"{token(event.correlation_id)},{token(event.causation_id)},{event.recorded_at_us:d},{event.available_minor:d},"
        f"{event.held_minor:d},{binary(event.details_hash)},X'{event.data.hex()}',X'{event.postings.hex()}',"
        f"X'{event.leaf_hash.hex()}')"
    )


def _account_row(account: Account) -> str:
    return (
        f"({token(account.account_id)},{account.version:d},{word(account.currency)},{word(account.status)},"
        f"{word(account.level_id)},{word(account.discount_percent)},{account.credit_limit_minor:d},"
        f"{account.available_minor:d},{account.held_minor:d},{account.position:d})"
    )


def _order_row(order: Order) -> str:
    reference = None if order.reference is None else order.reference.encode("utf-8")
    return (
        f"({token(order.order_id)},{token(order.account_id)},{word(order.status)},{word(order.product)},{order.quantity:d},"
        f"{word(order.unit_price)},{order.list_amount_minor:d},{word(order.discount_percent)},{order.amount_minor:d},"
        f"{word(order.currency)},{binary(reference)},{order.attempt:d},{word(order.executor)},{order.delivered:d},"
        f"{order.captured_minor:d},{order.released_minor:d},{word(order.code)},{order.placed_position:d},"
        f"{order.position:d})"
    )


def _accepted_row(outcome: NewOutcome) -> str:
    # Who asked, and when, is in the event at the position.
    entry = outcome.entry
    return f"(X'{entry.digest.hex()}',X'{entry.fingerprint.hex()}',{outcome.position:d})"


def _other_row(entry: Entry, refusal: bytes | None, recorded_at_us: int) -> str:
    submission = entry.submission
    return (
        f"(X'{entry.digest.hex()}',X'{entry.fingerprint.hex()}',{binary(refusal)},{word(submission.actor)},"
        f"X'{entry.key.hex()}',{word(submission.command.KIND)},{recorded_at_us:d})"
    )
