"""Whatever root does to the log or the tables beside it, the audit finds, with the first bad position."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from ledger import schema
from ledger.audit import write_side
from root import EVENTS, Root
from submissions import Desk

FORGED: dict[str, Any] = {
    "event_id": b"0123456789abcdef",
    "account_id": "cus_forged",
    "version": 99,
    "type": "recharge.posted",
    "schema_version": 2,
    "order_id": "ord_forged",
    "actor": "key:forged",
    "idempotency_key": b"forged",
    "correlation_id": "forged",
    "causation_id": "forged",
    "recorded_at_us": 1,
    "available_minor": 1,
    "held_minor": 7,
    "details_hash": b"f" * 32,
    "data": b'{"amount_minor":1,"currency":"CNY"}',
    "postings": b"[]",
    "leaf_hash": b"f" * 32,
}
PROCESSES = (1, 3)


def test_a_log_as_the_ledger_left_it_is_clean(root: Root) -> None:
    events = root.query("SELECT COUNT(*) FROM events")[0][0]
    for processes in (1, 2, 3, 7):
        report = root.verify(processes)

        assert (report.status, report.finding, report.events) == ("clean", None, events)


@pytest.mark.parametrize("sealed", [False, True], ids=["hash left", "hash made anew"])
@pytest.mark.parametrize("column", FORGED)
def test_a_changed_column_is_found_at_its_position(root: Root, column: str, *, sealed: bool) -> None:
    position = root.position_of("deduction.posted")
    free = column in ("event_id", "actor", "idempotency_key", "correlation_id", "causation_id", "details_hash")

    root.change(position, **{column: FORGED[column]}, sealed=sealed and column != "leaf_hash")

    for processes in PROCESSES:
        report = root.verify(processes)
        if sealed and free:
            # Nothing else says what these were: only a checkpoint of the hashes would.
            assert report.status == "clean"
        else:
            assert (report.status, report.first_bad_position) == ("tampered", position), report.finding


@pytest.mark.parametrize("column", ["order_id", "causation_id"])
@pytest.mark.parametrize("forged", ["", "\0", "\x1f", "\x1e", "a\x1fb"])
def test_a_missing_text_that_becomes_an_odd_one_is_found(root: Root, column: str, forged: str) -> None:
    position = root.position_of("deduction.posted")

    root.change(position, **{column: forged})

    assert root.verify().first_bad_position == position


def test_a_value_that_imitates_two_rows_is_found(root: Root) -> None:
    position = root.position_of("deduction.posted")
    imitation = b"\x1e".join([root.event(position)["data"], b"\x1f".join([b"x"] * 18)])

    root.change(position, data=imitation)

    assert root.verify().first_bad_position == position


def test_a_deleted_event_is_found(root: Root) -> None:
    for processes in PROCESSES:
        position = 20
        root.run(f"DELETE FROM events WHERE position={position}")

        report = root.verify(processes)

        assert report.first_bad_position == position and "missing" in str(report.finding)


def test_swapped_events_are_found(root: Root) -> None:
    for was, becomes in ((11, -1), (12, 11), (-1, 12)):
        root.run(f"UPDATE events SET position={becomes} WHERE position={was}")

    assert all(root.verify(processes).first_bad_position == 11 for processes in PROCESSES)


def test_an_event_before_the_first_is_found(root: Root) -> None:
    _copy(root, 9, position=0)

    assert root.verify().first_bad_position == 1


def test_a_duplicate_at_the_end_is_found_whatever_the_head_says(root: Root) -> None:
    end = root.query("SELECT position FROM log_head")[0][0]
    _copy(root, root.position_of("deduction.posted"), position=end + 1)

    assert root.verify().first_bad_position == end + 1

    root.run(f"UPDATE log_head SET position={end + 1}")

    assert all(root.verify(processes).first_bad_position == end + 1 for processes in PROCESSES)


def test_a_well_made_event_put_in_the_tables_leaves_no_outcome(root: Root) -> None:
    end = root.query("SELECT position FROM log_head")[0][0]
    last = root.event(root.position_of("deduction.posted", 2))
    version, available = last["version"] + 1, last["available_minor"] - 1
    account = last["account_id"]
    values = {"position": end + 1, "version": version, "available_minor": available, "event_id": b"x" * 16}
    values["recorded_at_us"] = root.event(end)["recorded_at_us"]
    values["data"] = b'{"amount_minor":1,"currency":"CNY"}'
    values["postings"] = last["postings"].replace(b"101000", b"1")
    _copy(root, last["position"], **values)
    root.change(end + 1, sealed=True)
    root.run(f"UPDATE log_head SET position={end + 1}")
    root.run(
        f"UPDATE accounts SET version={version},available_minor={available},position={end + 1} WHERE account_id='{account}'"
    )

    report = root.verify()

    assert report.first_bad_position == end + 1 and "outcome" in str(report.finding)


def test_a_cut_tail_is_found(root: Root) -> None:
    end = root.query("SELECT position FROM log_head")[0][0]
    root.run(f"DELETE FROM events WHERE position>{end - 2}")

    assert all(root.verify(processes).first_bad_position == end - 1 for processes in PROCESSES)

    # The head says so too: then the tables know better.
    root.run(f"UPDATE log_head SET position={end - 2}")

    assert root.verify().status == "tampered"


def test_a_log_that_was_emptied_is_never_green(root: Root) -> None:
    root.run("DELETE FROM events")

    assert root.verify().first_bad_position == 1

    root.run("UPDATE log_head SET position=0")

    assert root.verify().status == "cannot tell"


def test_a_missing_head_is_found(root: Root) -> None:
    root.run("DELETE FROM log_head")

    report = root.verify()

    assert report.status == "tampered" and "head row" in str(report.finding)


def test_an_amount_forged_with_its_postings_and_balance_is_found_at_the_accounts_next_event(root: Root) -> None:
    position = root.position_of("deduction.posted")
    row = root.event(position)
    data = json.loads(row["data"]) | {"amount_minor": 1}
    root.change(
        position,
        sealed=True,
        data=json.dumps(data, separators=(",", ":"), sort_keys=True).encode(),
        postings=row["postings"].replace(b"2500", b"1"),
        available_minor=row["available_minor"] + 2_499,
    )
    account = row["account_id"]
    following = root.query(f"SELECT MIN(position) FROM events WHERE account_id='{account}' AND position>{position}")

    assert all(root.verify(processes).first_bad_position == following[0][0] for processes in PROCESSES)


@pytest.mark.parametrize(
    ("postings", "words"),
    [
        (b"[]", "postings are not those"),
        (b"{}", "not a list"),
        (b'[{"account":"platform:funding","amount_minor":5,"currency":"CNY"}]', "postings sum to 5 CNY"),
    ],
)
def test_what_is_wrong_with_postings_is_said(root: Root, postings: bytes, words: str) -> None:
    position = root.position_of("recharge.posted")

    root.change(position, sealed=True, postings=postings)

    report = root.verify()
    assert report.first_bad_position == position and words in str(report.finding)


@pytest.mark.parametrize(
    ("type_name", "changes", "words"),
    [
        ("deduction.posted", {"amount_minor": 0}, "amount is 0"),
        ("deduction.posted", {"amount_minor": True}, "Expected `int`"),
        ("deduction.posted", {"amount_minor": 2500.0}, "Expected `int`"),
        ("deduction.posted", {"note": "x"}, "unknown field"),
        ("order.placed", {"amount_minor": 999}, "price comes to"),
        ("order.started", {"attempt": 2}, "attempt 2 follows attempt 0"),
        ("order.completed", {"captured_minor": 999, "released_minor": 1}, "captured of"),
        ("order.completed", {"released_minor": 5}, "released of a hold"),
        ("order.cancelled", {"delivered": 1}, "never started"),
        ("order.resolved", {"resolution": "placed"}, "resolution"),
        ("account.level_changed", {"discount_percent": "80"}, None),
        ("account.credit_limit_changed", {"credit_limit_minor": 100}, None),
        ("transaction.reversed", {"reverses_position": 1}, "not a transaction"),
    ],
)
def test_data_that_break_a_rule_are_found(
    root: Root, type_name: str, changes: dict[str, Any], words: str | None
) -> None:
    position = root.position_of(type_name)
    data = json.loads(root.event(position)["data"]) | changes

    root.change(position, sealed=True, data=json.dumps(data, separators=(",", ":"), sort_keys=True).encode())

    for processes in PROCESSES:
        report = root.verify(processes)
        assert report.status == "tampered"
        if words is None:
            # What it allowed is found where it was made use of.
            assert report.first_bad_position is not None and report.first_bad_position > position
        else:
            assert report.first_bad_position == position
            assert words in str(report.finding) or processes > 1


def test_data_in_another_form_are_found(root: Root) -> None:
    position = root.position_of("deduction.posted")

    root.change(position, sealed=True, data=root.event(position)["data"].replace(b":", b": "))

    assert "canonical" in str(root.verify().finding)


def test_an_order_that_goes_on_after_its_end_is_found(root: Root) -> None:
    ended, later = root.position_of("order.completed"), root.position_of("order.started", 3)
    root.change(later, sealed=True, order_id=root.event(ended)["order_id"])

    for processes in PROCESSES:
        report = root.verify(processes)
        assert report.first_bad_position == later and "not open" in str(report.finding)


_TABLES = [
    (table, column.name)
    for table in (schema.accounts, schema.orders)
    for column in table.columns
    if not column.primary_key
]


@pytest.mark.parametrize(("table", "column"), _TABLES, ids=[f"{table.name}.{column}" for table, column in _TABLES])
def test_a_row_beside_the_log_that_is_not_the_fold_is_found(root: Root, table: sa.Table, column: str) -> None:
    forged: Any = 77 if isinstance(table.c[column].type, sa.Integer | sa.BigInteger) else "forged"
    forged = {"currency": "EUR", "reference": b"forged", "discount_percent": "77"}.get(column, forged)
    key = next(iter(table.primary_key.columns))
    chosen = root.query(f"SELECT MIN({key.name}) FROM {table.name}")[0][0]

    root.run(sa.update(table).where(key == chosen).values({column: forged}))

    report = root.verify()
    assert report.status == "tampered" and table.name in str(report.finding)
    assert chosen in str(report.finding)


def test_a_reference_that_is_no_text_any_more_is_found(root: Root) -> None:
    root.run("UPDATE orders SET reference=X'FF'")

    report = root.verify()

    assert report.status == "tampered" and "the table orders" in str(report.finding)


@pytest.mark.parametrize("table", ["accounts", "orders", "reversals", "outcomes"])
def test_a_row_deleted_beside_the_log_is_found(root: Root, table: str) -> None:
    position = root.query(f"SELECT MIN(position) FROM {table}")[0][0]
    root.run(f"DELETE FROM {table} WHERE position={position}")

    report = root.verify(3)

    assert report.first_bad_position == position and table.rstrip("s") in str(report.finding)


def test_outcomes_that_name_a_position_twice_or_none_there_is_are_found(root: Root) -> None:
    root.run("UPDATE outcomes SET position=4 WHERE position=3")

    # Position 4 has two, and before it position 3 has none.
    assert root.verify().first_bad_position == 3

    for position in (1_000, -1, 0):
        root.run(f"UPDATE outcomes SET position={position} WHERE position IN (4,1000,-1)")

        assert root.verify().status == "tampered"


def test_rows_without_an_event_are_found(root: Root) -> None:
    row = root.query("SELECT * FROM orders")[0]._asdict() | {"order_id": "ord_forged", "placed_position": 2}
    root.run(sa.insert(schema.orders).values(row))

    report = root.verify()

    assert report.first_bad_position == 2 and "ord_forged" in str(report.finding)


ALTERED = [{"details": b'{"memo":"forged"}'}, {"salt": b"0123456789abcdef"}, {"details": b""}]


@pytest.mark.parametrize("altered", ALTERED, ids=["text", "salt", "emptied"])
def test_a_text_that_is_not_what_its_event_has_the_hash_of_is_found(root: Root, altered: dict[str, bytes]) -> None:
    position = root.query("SELECT position FROM details")[0][0]

    root.run(sa.update(schema.details).where(schema.details.c.position == position).values(altered))

    for processes in PROCESSES:
        report = root.verify(processes)
        assert (report.status, report.first_bad_position) == ("tampered", position), report.finding
        assert "the table details" in str(report.finding)


def test_of_many_texts_the_first_altered_one_is_found(root: Root, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_side, "PAGE_ROWS", 2)
    account_id = desk.open()
    positions = [desk.recharge(account_id, 1, details={"memo": f"no. {number}"}).position for number in range(9)]
    assert root.verify().status == "clean"

    for position in (positions[8], positions[6], positions[3]):
        root.run(sa.update(schema.details).where(schema.details.c.position == position).values(details=b"{}"))

        assert root.verify().first_bad_position == position


def test_a_text_beside_an_event_that_has_none_or_beside_no_event_is_found(root: Root) -> None:
    end = root.query("SELECT position FROM log_head")[0][0]
    for position in (end + 1, root.position_of("deduction.posted"), 0):
        root.run(sa.insert(schema.details).values(position=position, salt=bytes(16), details=b"{}"))

        report = root.verify()

        assert (report.status, report.first_bad_position) == ("tampered", max(1, position)), report.finding


def test_a_text_that_is_gone_is_no_finding_since_an_erasure_may_be_under_way(root: Root) -> None:
    root.run("DELETE FROM details")

    assert root.verify().status == "clean"


def _copy(root: Root, source: int, **values: Any) -> None:
    row = root.event(source)
    changed = {"version": row["version"] + 100, "event_id": b"copied-copied-co", **values}
    root.run(sa.insert(EVENTS).values(row | changed))
