"""Commands become events once, with their outcome, on both engines."""

import json

import pytest
import sqlalchemy as sa

from ledger import errors, log, schema, state
from ledger.append import committer, loading
from ledger.append.group import PLAN_GROWTH
from ledger.append.loading import GATHERED_ROWS_MIN
from ledger.commands import CancelOrder, ChangeLevel, Deduct, OpenAccount, PlaceOrder, Recharge, ReverseTransaction
from ledger.ids import new_id
from ledger.submission import Outcome
from submissions import TERMS, Desk, prove, submission

REFERENCES = ["a", "b", None, "", "发票;7", "x,y", "-", "1;2,3;", "'"]


def deduction(account_id: str, amount_minor: int) -> Deduct:
    return Deduct(account_id=account_id, amount_minor=amount_minor, currency="CNY")


def same(first: Outcome, repeat: Outcome) -> bool:
    return (first.position, first.event, first.order, first.balance, first.details) == (
        repeat.position,
        repeat.event,
        repeat.order,
        repeat.balance,
        repeat.details,
    )


def test_a_recharge_is_answered_with_its_position_and_the_balance_after_it(desk: Desk) -> None:
    account_id = desk.open()

    outcome = desk.recharge(account_id, 10_000)

    assert outcome.error is None and outcome.event is not None and outcome.balance is not None
    assert (outcome.position, outcome.event.type) == (2, "recharge.posted")
    assert (outcome.balance.available_minor, outcome.balance.held_minor, outcome.balance.version) == (10_000, 0, 2)
    assert prove(desk.engine) == 2


def test_a_repeat_gets_the_first_outcome_and_changes_nothing(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=10_000)
    first = desk.place(account_id, key="k1", details={"params": {"text": "你好"}})
    desk.cancel(first.order.order_id if first.order else "")

    repeat = desk.place(account_id, key="k1", details={"params": {"text": "你好"}})

    assert repeat.replayed and same(first, repeat)
    assert repeat.order is not None and repeat.order.status == "placed"
    assert prove(desk.engine) == 4


def test_a_key_used_for_other_content_is_refused_and_the_first_result_stands(desk: Desk) -> None:
    account_id = desk.open()
    first = desk.recharge(account_id, 100, "k1")

    assert isinstance(desk.recharge(account_id, 101, "k1").error, errors.IdempotencyKeyReused)
    assert isinstance(desk.recharge(account_id, 100, "k1", details={"memo": "new"}).error, errors.IdempotencyKeyReused)
    assert same(first, desk.recharge(account_id, 100, "k1"))


def test_keys_of_two_clients_and_keys_in_other_letters_are_different(desk: Desk) -> None:
    account_id = desk.open()

    for key, actor in (("abc", "key:a"), ("abc", "key:b"), ("ABC", "key:a"), ("abc ", "key:a"), ("ábc", "key:a")):
        assert not desk.recharge(account_id, 1, key, actor=actor).replayed

    assert prove(desk.engine) == 6


def test_a_refusal_is_stored_and_stays_a_refusal(desk: Desk) -> None:
    account_id = desk.open()
    first = desk.deduct(account_id, 5, "k1")
    desk.recharge(account_id, 100)

    repeat = desk.deduct(account_id, 5, "k1")

    assert isinstance(first.error, errors.InsufficientFunds) and isinstance(repeat.error, errors.InsufficientFunds)
    assert repeat.replayed and first.error.fields() == repeat.error.fields()
    assert prove(desk.engine) == 2


def test_a_new_price_does_not_make_a_repeat_a_different_command(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=10_000)
    first = desk.place(account_id, key="k1")
    dearer = PlaceOrder(account_id=account_id, product="sms", quantity=100, order_id=new_id("ord"), terms=None)

    assert same(first, desk.submit(dearer, "k1"))


def test_what_is_already_so_is_accepted_without_an_event(desk: Desk) -> None:
    account_id = desk.open()

    outcome = desk.submit(ChangeLevel(account_id=account_id, level_id=None, discount_percent="100"), "k1")
    repeat = desk.submit(ChangeLevel(account_id=account_id, level_id=None, discount_percent="100"), "k1")

    assert (outcome.error, outcome.event, repeat.error, repeat.event, repeat.replayed) == (None, None, None, None, True)
    assert prove(desk.engine) == 1


def test_a_batch_answers_each_command_in_order_and_a_refusal_stops_no_other(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    wanted = [submission(deduction(account_id, minor)) for minor in (60, 60, 40, 1)]

    outcomes = desk.ledger.append_batch(wanted, atomic=False)

    assert [type(each.error) for each in outcomes] == [
        type(None),
        errors.InsufficientFunds,
        type(None),
        errors.InsufficientFunds,
    ]
    assert prove(desk.engine) == 4


def test_an_atomic_batch_takes_effect_whole_or_not_at_all(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    wanted = [submission(deduction(account_id, minor)) for minor in (60, 30, 20)]

    refused = desk.ledger.append_batch(wanted, atomic=True)
    accepted = desk.ledger.append_batch(
        [submission(deduction(account_id, minor)) for minor in (60, 30, 10)], atomic=True
    )

    assert [type(each.error) for each in refused] == [
        errors.BatchRefused,
        errors.BatchRefused,
        errors.InsufficientFunds,
    ]
    assert [each.error for each in accepted] == [None, None, None]
    assert [type(each.error) for each in desk.ledger.append_batch(wanted, atomic=True)] == [
        type(each.error) for each in refused
    ]
    assert prove(desk.engine) == 5


def test_one_key_twice_in_a_batch_takes_effect_once(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    twice = submission(deduction(account_id, 60), "k1")

    for atomic in (False, True):
        first, repeat = desk.ledger.append_batch([twice, twice], atomic=atomic)
        assert same(first, repeat) and repeat.replayed

    assert prove(desk.engine) == 3


def test_a_repeat_within_an_atomic_batch_needs_no_money_of_its_own(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    twice = submission(deduction(account_id, 60), "k1")

    first, repeat = desk.ledger.append_batch([twice, twice], atomic=True)

    assert first.error is None and repeat.replayed
    assert prove(desk.engine) == 3


def test_one_key_for_two_contents_refuses_a_whole_atomic_batch(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    wanted = [submission(deduction(account_id, 10), "k1"), submission(deduction(account_id, 20), "k1")]

    first, other = desk.ledger.append_batch(wanted, atomic=True)

    assert isinstance(first.error, errors.BatchRefused) and first.error.index == 1
    assert isinstance(other.error, errors.IdempotencyKeyReused)
    assert prove(desk.engine) == 2


def test_a_repeat_with_other_erasable_text_is_none_until_that_is_erased(desk: Desk) -> None:
    account_id = desk.open()
    first = desk.recharge(account_id, 5, "k1", details={"memo": "from Zhang"})
    plain = desk.recharge(account_id, 5, "k2")

    for details in ({"memo": "from Wang"}, None):
        assert isinstance(desk.recharge(account_id, 5, "k1", details=details).error, errors.IdempotencyKeyReused)
    assert isinstance(desk.recharge(account_id, 5, "k2", details={"memo": "x"}).error, errors.IdempotencyKeyReused)
    assert same(first, desk.recharge(account_id, 5, "k1", details={"memo": "from Zhang"}))
    assert same(plain, desk.recharge(account_id, 5, "k2"))

    with desk.engine.execution_options(write=True).begin() as connection:
        connection.execute(sa.delete(schema.details))
    again = desk.recharge(account_id, 5, "k1", details={"memo": "from Wang"})

    assert (again.error, again.position, again.replayed) == (None, first.position, True)
    assert prove(desk.engine) == 3


def test_a_repeat_of_what_was_recorded_before_erasable_text_was_left_out_is_still_one(desk: Desk) -> None:
    account_id = desk.open()
    wanted = submission(Recharge(account_id=account_id, amount_minor=5, currency="CNY"), "k1", details={"memo": "x"})
    first = desk.ledger.append(wanted)
    with desk.engine.execution_options(write=True).begin() as connection:
        for trigger in _triggers(connection):
            connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
        connection.execute(
            sa.update(schema.outcomes)
            .where(schema.outcomes.c.position == first.position)
            .values(fingerprint=wanted.fingerprint_with_details())
        )

    assert same(first, desk.ledger.append(wanted))
    other = submission(wanted.command, "k1", details={"memo": "y"})
    assert isinstance(desk.ledger.append(other).error, errors.IdempotencyKeyReused)


def _triggers(connection: sa.Connection) -> list[str]:
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='outcomes'",
        "mysql": "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS "
        "WHERE EVENT_OBJECT_SCHEMA=DATABASE() AND EVENT_OBJECT_TABLE='outcomes'",
    }
    dialect = "sqlite" if connection.dialect.name == "sqlite" else "mysql"
    return list(connection.exec_driver_sql(names[dialect]).scalars())


def test_a_large_batch_is_committed_in_slices_and_a_large_atomic_one_at_once(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=10_000)
    wanted = [submission(deduction(account_id, 1)) for _ in range(2_500)]
    before = desk.ledger.statistics.groups

    assert all(each.error is None for each in desk.ledger.append_batch(wanted, atomic=False))
    assert desk.ledger.statistics.groups - before == 3
    atomic = desk.ledger.append_batch([submission(deduction(account_id, 1)) for _ in range(2_500)], atomic=True)
    assert all(each.error is None for each in atomic)
    assert desk.ledger.statistics.groups - before == 4
    assert prove(desk.engine) == 5_002


def test_a_dry_run_tells_the_outcome_and_records_nothing(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)

    accepted, refused = desk.ledger.dry_run(
        [submission(deduction(account_id, 60)), submission(deduction(account_id, 60))]
    )

    assert accepted.balance is not None and accepted.balance.available_minor == 40
    assert isinstance(refused.error, errors.InsufficientFunds)
    assert prove(desk.engine) == 2


def test_free_text_is_beside_the_log_and_committed_to_by_its_hash(desk: Desk) -> None:
    account_id = desk.open()

    outcome = desk.recharge(account_id, 1, details={"memo": "Zhang's birthday"})

    assert outcome.event is not None and outcome.event.details_hash is not None
    assert b"Zhang" not in outcome.event.data + outcome.event.postings
    with desk.engine.connect() as connection:
        assert log.details_at(connection, [1, 2]) == {2: {"memo": "Zhang's birthday"}}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET actor='x'", "DELETE FROM events", "UPDATE outcomes SET kind='x'", "DELETE FROM outcomes"],
)
def test_the_database_refuses_to_change_history(desk: Desk, statement: str) -> None:
    desk.open()

    with pytest.raises(sa.exc.DBAPIError, match="append-only"), desk.engine.begin() as connection:
        connection.exec_driver_sql(statement)

    assert prove(desk.engine) == 1


def test_time_never_runs_backwards_when_the_clock_does(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = desk.open()
    times = iter([5_000_000_000_000_000, 1, 5_000_000_000_000_001])
    monkeypatch.setattr(committer, "now_us", lambda: next(times))

    recorded = [desk.recharge(account_id, 1).event for _ in range(3)]

    assert [each.recorded_at_us for each in recorded if each] == [5_000_000_000_000_000] * 2 + [5_000_000_000_000_001]


def test_balances_orders_and_times_of_the_past_can_be_read(desk: Desk) -> None:
    account_id, other = desk.open(recharged_minor=1_000), desk.open(recharged_minor=7)
    placed = desk.place(account_id, 10)
    desk.cancel(placed.order.order_id if placed.order else "")

    with desk.engine.connect() as connection:
        past = [state.balance_at(connection, account_id, position) for position in range(7)]
        assert [each and (each.available_minor, each.held_minor) for each in past] == [
            None,
            (0, 0),
            (1_000, 0),
            (1_000, 0),
            (1_000, 0),
            (900, 100),
            (1_000, 0),
        ]
        assert state.balance_at(connection, other) == state.balance_at(connection, other, 6)
        for event in log.events_after(connection, 0, 10):
            assert log.position_at(connection, event.recorded_at_us) >= event.position
        assert log.position_at(connection, 0) == 0


def test_a_command_that_the_database_rejects_fails_alone(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    poison = OpenAccount(account_id="cus_" + "x" * 76, currency="C\u20ac")
    wanted = [submission(deduction(account_id, 1)), submission(poison), submission(deduction(account_id, 2))]

    outcomes = desk.ledger.append_batch(wanted, atomic=False)

    assert [type(each.error) for each in outcomes] == [type(None), errors.Undecidable, type(None)]
    assert prove(desk.engine) == 4


def test_a_command_that_the_database_rejects_undoes_what_was_written_before_it_was_decided(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=1_000)
    poison = OpenAccount(account_id="cus_" + "x" * 76, currency="C\u20ac")
    before = [submission(deduction(account_id, 1)) for _ in range(PLAN_GROWTH + 1)]

    outcomes = desk.ledger.append_batch([*before, submission(poison)], atomic=True)

    assert {type(each.error) for each in outcomes} == {errors.Undecidable}
    assert prove(desk.engine) == 2


def test_rows_that_a_server_does_not_return_are_missed() -> None:
    cut = [("3;cus_1,2,CNY,open,,100,0,5,0,9;cus_2,2,CNY,open",)]

    with pytest.raises(ValueError, match="every row"):
        loading.loaded([("9,1",)], {"outcomes": [], "accounts": cut})


def test_few_and_many_accounts_and_orders_are_loaded_as_they_were_left(desk: Desk) -> None:
    accounts = [desk.open(recharged_minor=1_000 + number) for number in range(GATHERED_ROWS_MIN + 1)]
    placed = [new_id("ord") for _ in accounts]
    for account_id, order_id, reference in zip(accounts, placed, REFERENCES, strict=True):
        desk.submit(
            PlaceOrder(
                account_id=account_id, product="sms", quantity=10, order_id=order_id, terms=TERMS, reference=reference
            )
        )

    few = desk.ledger.append_batch([submission(CancelOrder(order_id=each)) for each in placed[:2]], atomic=False)
    many = desk.ledger.append_batch([submission(CancelOrder(order_id=each)) for each in placed], atomic=False)

    assert all(each.error is None for each in few)
    assert [type(each.error) for each in many[:2]] == [errors.OrderNotCancellable] * 2
    assert [each.order.reference for each in many[2:] if each.order] == REFERENCES[2:]
    assert [each.balance.available_minor for each in many[2:] if each.balance] == list(range(1_002, 1_009))


def test_a_reversal_is_stored_with_what_it_reverses(desk: Desk) -> None:
    account_id = desk.open(recharged_minor=100)
    reversal = ReverseTransaction(reverses_position=2, account_id=account_id, signed_amount_minor=100)

    first, again = desk.submit(reversal), desk.submit(reversal)

    assert first.event is not None and json.loads(first.event.data)["reverses_position"] == 2
    assert isinstance(again.error, errors.AlreadyReversed)
    assert desk.rows("SELECT * FROM reversals") == [{"reverses_position": 2, "position": 3}]
