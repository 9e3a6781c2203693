"""What a group's decisions start from: the SQL text that reads it under the head's lock, and the state from its rows.

A row comes as one text of its columns between commas, and many rows as one text: their number, then the rows, between
semicolons. A driver in Python takes several times as long to unpack rows and columns as to read one value and split it.
Texts are tokens, which have neither; bytes come as hexadecimal digits, a missing value as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ledger.accounts import Account
from ledger.append.entry import Entry
from ledger.append.group import Loaded, Requested, Stored
from ledger.append.literals import token
from ledger.commands import OrderCommand, ReverseTransaction
from ledger.decide import State
from ledger.errors import CorruptLog
from ledger.orders import Order

Rows = Sequence[Sequence[Any]]

GATHERED_ROWS_MIN = 8
"""From how many rows on it pays to have the server gather them."""
_ABSENT = "-"
"""Stands for a missing text that may also be empty."""
_HEAD = ("position", "recorded_at_us")
_OUTCOME = (
    "HEX(key_digest)",
    "HEX(fingerprint)",
    "IFNULL(position,'')",
    "IFNULL(HEX(refusal),'')",
    "(SELECT COUNT(details_hash) FROM events WHERE events.position=outcomes.position)",
    "IFNULL((SELECT HEX(details.details) FROM details WHERE details.position=outcomes.position),'')",
)
_REQUEST = ("HEX(key_digest)", "HEX(order_id)", "IFNULL(HEX(details),'')")
"""What a cancellation that waits has in place of an outcome: fewer columns."""
_REVERSAL = ("reverses_position", "position")
_ACCOUNT = (
    "account_id",
    "version",
    "currency",
    "status",
    "IFNULL(level_id,'')",
    "discount_percent",
    "credit_limit_minor",
    "available_minor",
    "held_minor",
    "position",
)
_ORDER = (
    "order_id",
    "account_id",
    "status",
    "product",
    "quantity",
    "unit_price",
    "list_amount_minor",
    "discount_percent",
    "amount_minor",
    "currency",
    # Not IFNULL: SQLite says that the HEX of NULL is an empty text.
    f"CASE WHEN reference IS NULL THEN '{_ABSENT}' ELSE HEX(reference) END",
    "attempt",
    "IFNULL(executor,'')",
    "delivered",
    "captured_minor",
    "released_minor",
    "IFNULL(code,'')",
    "placed_position",
    "position",
)


def locking(*, lock: bool, mysql: bool) -> str:
    """Return the statement that reads the log's head, and locks it where a lock is asked for and needed."""
    return f"SELECT {_packed(_HEAD, mysql=mysql)} FROM log_head WHERE id=1" + (" FOR UPDATE" if lock and mysql else "")


def reading(entries: Iterable[Entry], *, mysql: bool) -> dict[str, str]:
    """Return the statements that load what the entries touch, by what they load.

    What no entry touches is left out: an empty statement costs the server as much as a useful one.
    """
    account_ids: set[str] = set()
    order_ids: set[str] = set()
    reversed_positions: set[int] = set()
    digests: list[str] = []
    for entry in entries:
        digests.append(f"X'{entry.digest.hex()}'")
        command = entry.submission.command
        if isinstance(command, OrderCommand):
            order_ids.add(command.order_id)
        else:
            account_ids.add(command.account_id)
        if isinstance(command, ReverseTransaction):
            reversed_positions.add(command.reverses_position)
    account_ids.discard("")
    listed = _in("key_digest", digests)
    stored = _one_by_one(_OUTCOME, "outcomes", listed, mysql=mysql)
    waiting = _one_by_one(_REQUEST, "cancellation_requests", listed, mysql=mysql)
    # Together, for a statement more costs all groups more than the few requests are worth.
    found = {"outcomes": f"{stored} UNION ALL {waiting}"}
    if account_ids:
        listed = _in("account_id", map(token, account_ids))
        found["accounts"] = _selecting(len(account_ids))(_ACCOUNT, "accounts", listed, mysql=mysql)
    if order_ids:
        select, listed = _selecting(len(order_ids)), _in("order_id", map(token, order_ids))
        owners = f"account_id IN (SELECT account_id FROM orders WHERE {listed})"
        found["owners"] = select(_ACCOUNT, "accounts", owners, mysql=mysql)
        found["orders"] = select(_ORDER, "orders", listed, mysql=mysql)
    if reversed_positions:
        listed = _in("reverses_position", (f"{each:d}" for each in reversed_positions))
        found["reversals"] = _one_by_one(_REVERSAL, "reversals", listed, mysql=mysql)
    return found


def loaded(head: Rows, results: Mapping[str, Rows]) -> Loaded:
    """Build the state from the rows of `locking` and `reading`.

    Raises CorruptLog when the log has no head, ValueError when the server returned less than it has.
    """
    if len(head) != 1:
        raise CorruptLog()
    position, recorded_at_us = head[0][0].split(",")
    rows = {name: [text.split(",") for text in _texts(found)] for name, found in results.items()}
    accounts = [_account_from(row) for name in ("accounts", "owners") for row in rows.get(name, ())]
    orders = [_order_from(row) for row in rows.get("orders", ())]
    outcomes = [_stored_from(row) for row in rows["outcomes"] if len(row) == len(_OUTCOME)]
    requests = [_requested_from(row) for row in rows["outcomes"] if len(row) == len(_REQUEST)]
    state = State(
        accounts={each.account_id: each for each in accounts},
        orders={each.order_id: each for each in orders},
        reversed_by={int(reverses): int(by) for reverses, by in rows.get("reversals", ())},
    )
    return Loaded(
        position=int(position),
        recorded_at_us=int(recorded_at_us),
        state=state,
        outcomes={each.digest: each for each in outcomes},
        requests={each.digest: each for each in requests},
    )


def _texts(found: Rows) -> list[str]:
    """Return the texts of rows, which came one by one or gathered in one."""
    if len(found) != 1 or ";" not in found[0][0]:
        return [str(row[0]) for row in found]
    count, *texts = str(found[0][0]).rstrip(";").split(";")
    # A server cuts what is longer than it may gather, with no more than a warning.
    if len(texts) != int(count):
        raise ValueError("the server did not return every row")
    return texts


def _account_from(row: Sequence[str]) -> Account:
    account_id, version, currency, status, level_id, percent, credit, available, held, position = row
    return Account(
        account_id,
        int(version),
        currency,
        status,
        level_id or None,
        percent,
        int(credit),
        int(available),
        int(held),
        int(position),
    )


def _order_from(row: Sequence[str]) -> Order:
    values = dict(zip(Order._fields, row, strict=True))
    reference = values["reference"]
    return Order(
        order_id=values["order_id"],
        account_id=values["account_id"],
        status=values["status"],
        product=values["product"],
        quantity=int(values["quantity"]),
        unit_price=values["unit_price"],
        list_amount_minor=int(values["list_amount_minor"]),
        discount_percent=values["discount_percent"],
        amount_minor=int(values["amount_minor"]),
        currency=values["currency"],
        reference=None if reference == _ABSENT else bytes.fromhex(reference).decode("utf-8"),
        attempt=int(values["attempt"]),
        executor=values["executor"] or None,
        delivered=int(values["delivered"]),
        captured_minor=int(values["captured_minor"]),
        released_minor=int(values["released_minor"]),
        code=values["code"] or None,
        placed_position=int(values["placed_position"]),
        position=int(values["position"]),
    )


def _stored_from(row: Sequence[str]) -> Stored:
    digest, fingerprint, position, refusal, hashes, details = row
    return Stored(
        digest=bytes.fromhex(digest),
        fingerprint=bytes.fromhex(fingerprint),
        position=int(position) if position else None,
        refusal=bytes.fromhex(refusal) if refusal else None,
        has_details=hashes != "0",
        details=bytes.fromhex(details) if details else None,
    )


def _requested_from(row: Sequence[str]) -> Requested:
    digest, order_id, details = row
    return Requested(
        digest=bytes.fromhex(digest),
        order_id=bytes.fromhex(order_id).decode("ascii"),
        details=bytes.fromhex(details) if details else None,
    )


def _selecting(rows: int) -> Callable[..., str]:
    return _gathered if rows >= GATHERED_ROWS_MIN else _one_by_one


def _one_by_one(expressions: Sequence[str], table: str, condition: str, *, mysql: bool) -> str:
    return f"SELECT {_packed(expressions, mysql=mysql)} FROM {table} WHERE {condition}"


def _gathered(expressions: Sequence[str], table: str, condition: str, *, mysql: bool) -> str:
    packed = _packed(expressions, mysql=mysql)
    if mysql:
        whole = f"CONCAT(COUNT(*),';',IFNULL(GROUP_CONCAT({packed} SEPARATOR ';'),''))"
    else:
        whole = f"COUNT(*)||';'||IFNULL(GROUP_CONCAT({packed},';'),'')"
    return f"SELECT {whole} FROM {table} WHERE {condition}"


def _packed(expressions: Sequence[str], *, mysql: bool) -> str:
    return f"CONCAT_WS(',',{','.join(expressions)})" if mysql else "||','||".join(expressions)


def _in(column: str, literals: Iterable[str]) -> str:
    return f"{column} IN ({','.join(literals)})"
