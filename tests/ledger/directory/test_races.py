"""What happens between the directory's steps: other changes, a ledger that does not answer, many names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import pytest
import sqlalchemy as sa
import structlog

from ledger.append import Ledger
from ledger.commands import Deduct, Recharge
from ledger.directory import access, customers, levels, products
from ledger.directory.changes import stamps
from ledger.directory.customers import Asker, check_in_step, reconcile
from ledger.directory.errors import BadField, DirectoryNotFound
from ledger.directory.models import Customer, DirectoryState
from ledger.directory.names import CustomerNames
from ledger.directory.permissions import BINDABLE, PERMISSIONS, ROLES
from ledger.errors import CreditLimitInUse, OutcomeUnknown, ReadUnavailable
from ledger.ids import new_id
from ledger.settings import LedgerSettings
from submissions import prove, submission

ASKER = Asker(actor="key:test", correlation_id="test")


class Interrupted:
    """A ledger to which something happens once, right before or after it is given commands."""

    def __init__(
        self, ledger: Ledger, *, before: Callable[[], Any] | None = None, after: Callable[[], Any] | None = None
    ) -> None:
        self._ledger, self._before, self._after = ledger, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def append_batch(self, submissions: Any, *, atomic: bool) -> Any:
        before, self._before = self._before, None
        if before is not None:
            before()
        outcomes = self._ledger.append_batch(submissions, atomic=atomic)
        after, self._after = self._after, None
        if after is not None:
            after()
        return outcomes


class LookedAt:
    """A ledger to which something happens right after an account was read for the third time: brought in step before."""

    def __init__(self, ledger: Ledger, happens: Callable[[], Any]) -> None:
        self._ledger, self._happens = ledger, happens
        self._looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def accounts(self, account_ids: Any) -> Any:
        found = self._ledger.accounts(account_ids)
        self._looks += 1
        if self._looks == 3:
            self._happens()
        return found


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_percentage_that_changes_while_a_customer_gets_the_level_is_not_lost(office: Any, moment: str) -> None:
    level_id, customer_id = office.level("Gold", "90"), office.customer()["id"]

    def change_level() -> None:
        levels.change(office.directory, level_id, {"discount_percent": "80"})

    interrupted = cast(Ledger, Interrupted(office.ledger, **{moment: change_level}))  # type: ignore[arg-type]
    customers.change(office.directory, interrupted, customer_id, {"level_id": level_id}, ASKER)
    reconcile(office.directory, office.ledger)

    assert office.ledger.accounts([customer_id])[customer_id].discount_percent == "80"
    assert reconcile(office.directory, office.ledger) == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_commands_of_an_overtaken_change_do_not_have_the_last_word(office: Any, moment: str) -> None:
    first, second = office.level("Gold", "90"), office.level("Silver", "95")
    customer_id = office.customer()["id"]

    def change_again() -> None:
        customers.change(office.directory, office.ledger, customer_id, {"level_id": second}, ASKER)

    interrupted = cast(Ledger, Interrupted(office.ledger, **{moment: change_again}))  # type: ignore[arg-type]
    customers.change(office.directory, interrupted, customer_id, {"level_id": first}, ASKER)

    account = office.ledger.accounts([customer_id])[customer_id]
    assert (account.level_id, account.discount_percent) == (second, "95")
    assert reconcile(office.directory, office.ledger) == 0


def test_commands_of_an_overtaken_change_whose_sender_died_do_not_have_the_last_word(office: Any) -> None:
    level_id = office.level("Gold", "90")
    customer_id = office.customer(credit_limit="100.00")["id"]

    class Died(Exception):
        pass

    def change_back() -> None:
        office.change(customer_id, credit_limit="100.00", level_id=None, status="active")

    def die() -> None:
        raise Died

    dying = cast(Ledger, Interrupted(office.ledger, before=change_back, after=die))
    changes = {"credit_limit": "50.00", "level_id": level_id, "status": "suspended"}
    with pytest.raises(Died):
        customers.change(office.directory, dying, customer_id, changes, ASKER)
    assert reconcile(office.directory, office.ledger) == 0, "it is marked in step"
    assert check_in_step(office.directory, office.ledger) == ""

    account = office.ledger.accounts([customer_id])[customer_id]
    assert (account.credit_limit_minor, account.level_id, account.status) == (10_000, None, "open")
    assert check_in_step(office.directory, office.ledger) == ""
    assert office.ledger.accounts([customer_id])[customer_id] == account


@pytest.mark.parametrize("find", [check_in_step, reconcile])
@pytest.mark.parametrize("neighbours", [0, 1])
def test_a_customer_whose_credit_was_spent_after_its_suspension_was_overtaken_is_suspended_all_the_same(
    office: Any, find: Callable[[Any, Ledger], object], neighbours: int
) -> None:
    customer_id = office.customer()["id"]
    office.change(customer_id, status="suspended")
    others = [office.customer()["id"] for _ in range(neighbours)]

    class Died(Exception):
        pass

    def suspend_again() -> None:
        office.change(customer_id, status="suspended", credit_limit="0")

    def spend_and_die() -> None:
        deduction = Deduct(account_id=customer_id, amount_minor=5_000, currency="CNY")
        assert office.ledger.append(submission(deduction)).error is None
        raise Died

    dying = cast(Ledger, Interrupted(office.ledger, before=suspend_again, after=spend_and_die))
    with pytest.raises(Died):
        customers.change(office.directory, dying, customer_id, {"status": "active", "credit_limit": "100.00"}, ASKER)
    with office.directory.writing() as session:
        session.execute(sa.update(Customer).where(Customer.id.in_(others)).values(credit_limit_minor=1))
        session.execute(sa.update(Customer).values(in_step=int(find is check_in_step)))

    with structlog.testing.capture_logs() as said:
        find(office.directory, office.ledger)

    shown = customers.read(office.directory, customer_id)
    account = office.ledger.accounts([customer_id])[customer_id]
    assert (account.status, account.credit_limit_minor) == ("suspended", 10_000)
    assert (shown["status"], shown["credit_limit"]) == ("suspended", "100.00")
    assert [account.credit_limit_minor for account in office.ledger.accounts(others).values()] == [1] * neighbours
    if find is check_in_step:
        refused = {"event": "account-change-refused", "code": "credit-limit-in-use", "customer_id": customer_id}
        assert [each.get("customer_id") for each in said] == [*sorted([customer_id, *others]), customer_id]
        assert said[-1] == {**refused, "log_level": "warning"}


def test_a_change_that_the_ledger_refuses_in_part_is_refused_whole(office: Any) -> None:
    level_id = office.level("Gold", "90")
    customer_id = office.customer(credit_limit="50.00")["id"]
    office.ledger.append(submission(Deduct(account_id=customer_id, amount_minor=4_000, currency="CNY")))

    with pytest.raises(CreditLimitInUse):
        office.change(customer_id, level_id=level_id, credit_limit="0", status="suspended")

    shown = customers.read(office.directory, customer_id)
    account = office.ledger.accounts([customer_id])[customer_id]
    assert (shown["level_id"], shown["credit_limit"], shown["status"]) == (None, "50.00", "active")
    assert (account.level_id, account.credit_limit_minor, account.status) == (None, 5_000, "open")


def test_a_customer_that_gets_money_while_it_is_deleted_stays(office: Any) -> None:
    customer_id = office.customer()["id"]
    account = office.ledger.accounts([customer_id])[customer_id]

    def recharge() -> None:
        command = Recharge(account_id=customer_id, amount_minor=100, currency="CNY")
        assert office.ledger.append(submission(command)).error is None

    interrupted = cast(Ledger, Interrupted(office.ledger, before=recharge))
    is_gone = customers.delete(office.directory, interrupted, customer_id, account, ASKER, revision=None)

    assert not is_gone
    assert customers.read(office.directory, customer_id)["status"] == "deactivated"


def test_a_customer_that_is_reactivated_while_it_is_deleted_stays(office: Any) -> None:
    customer_id = office.customer()["id"]
    account = office.ledger.accounts([customer_id])[customer_id]

    def reactivate_and_recharge() -> None:
        office.change(customer_id, status="active")
        command = Recharge(account_id=customer_id, amount_minor=100, currency="CNY")
        assert office.ledger.append(submission(command)).error is None

    ledger = cast(Ledger, LookedAt(office.ledger, reactivate_and_recharge))
    is_gone = customers.delete(office.directory, ledger, customer_id, account, ASKER, revision=None)

    account = office.ledger.accounts([customer_id])[customer_id]
    assert not is_gone
    assert customers.read(office.directory, customer_id)["status"] == "active"
    assert (account.status, account.available_minor) == ("open", 100)


def test_a_deletion_that_cannot_be_finished_is_unknown(office: Any) -> None:
    customer_id = office.customer()["id"]
    account = office.ledger.accounts([customer_id])[customer_id]

    def go_away() -> None:
        raise ReadUnavailable(reason="gone")

    ledger = cast(Ledger, LookedAt(office.ledger, go_away))
    with pytest.raises(OutcomeUnknown):
        customers.delete(office.directory, ledger, customer_id, account, ASKER, revision=None)

    assert customers.read(office.directory, customer_id)["status"] == "deactivated"
    assert customers.delete(office.directory, office.ledger, customer_id, account, ASKER, revision=None)
    with pytest.raises(DirectoryNotFound):
        customers.read(office.directory, customer_id)


def test_a_customer_that_no_ledger_hears_of_is_unknown_and_finished_later(office: Any) -> None:
    silent = Ledger(office.directory.engine, LedgerSettings())
    silent.append_batch([], atomic=False)
    silent._running()
    silent.close()

    with pytest.raises(OutcomeUnknown):
        customers.create(office.directory, silent, [{"name": "李伟", "currency": "CNY"}], ASKER)
    assert reconcile(office.directory, office.ledger) == 1

    (customer_id,) = CustomerNames(office.directory).matching("李")
    assert office.ledger.accounts([customer_id])[customer_id].status == "open"
    assert prove(office.directory.engine) == 1


def test_a_key_that_something_else_was_recorded_under_leaves_no_customer_out_of_step(office: Any) -> None:
    customer_id, ledger = office.customer()["id"], office.ledger

    class Taken(Interrupted):
        def append_batch(self, submissions: Any, *, atomic: bool) -> Any:
            if ledger.accounts([customer_id])[customer_id].available_minor == 0:
                other = Recharge(account_id=customer_id, amount_minor=1, currency="CNY")
                ledger.append(submission(other, submissions[0].idempotency_key, actor=submissions[0].actor))
            return super().append_batch(submissions, atomic=atomic)

    customers.change(office.directory, cast(Ledger, Taken(ledger)), customer_id, {"status": "suspended"}, ASKER)

    assert ledger.accounts([customer_id])[customer_id].status == "suspended"
    assert reconcile(office.directory, ledger) == 0


def test_a_key_bound_to_a_customer_never_holds_what_concerns_others(office: Any) -> None:
    customer_id = office.customer()["id"]
    ((_, secret),) = access.create_api_keys(
        office.directory, [{"name": "k", "role": "admin", "customer_id": customer_id}]
    )

    principal = access.Principals(office.directory).of_key(secret)

    assert principal is not None and principal.permissions == BINDABLE
    assert not {"customers.write", "api_keys.write", "roles.write", "trial_balance.read"} & principal.permissions
    assert ROLES["customer"] <= BINDABLE < set(PERMISSIONS)


def test_a_principal_read_before_a_change_is_not_remembered_after_it(office: Any) -> None:
    ((key, secret),) = access.create_api_keys(office.directory, [{"name": "k", "role": "admin"}])
    principals = access.Principals(office.directory, remember_s=60)
    reading = access.principal_of

    def slow(directory: Any, digest: bytes) -> Any:
        found = reading(directory, digest)
        access.change(office.directory, key["id"], {"active": False})
        principals.forget()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "principal_of", slow)
        assert principals.of_key(secret) is not None

    assert principals.of_key(secret) is None


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"executor": "nobody"}, "/executor"),
        ({"executor": "http"}, "/executor_settings/url"),
        ({"executor_settings": {"delay_s": "1"}}, "/executor_settings/delay_s"),
        ({"executor_settings": {"dealy_s": 1}}, "/executor_settings/dealy_s"),
        ({"min_quantity": 0}, "/max_quantity"),
        ({"min_quantity": 5, "max_quantity": 4}, "/max_quantity"),
    ],
)
def test_a_product_that_no_executor_could_serve_is_refused(office: Any, changes: dict[str, Any], pointer: str) -> None:
    content = {"sku": "a", "name": "a", "unit_price": "1", "currency": "CNY", "executor": "simulated"}
    made = products.create(office.directory, [content])[0]

    with pytest.raises(BadField) as created:
        products.create(office.directory, [{**content, "sku": "b", **changes}])
    with pytest.raises(BadField) as changed:
        products.change(office.directory, made["id"], changes)

    assert created.value.pointer == changed.value.pointer == pointer
    assert products.read(office.directory, made["id"])["revision"] == 1


def test_twenty_thousand_names_are_searched_in_well_under_a_millisecond(office: Any) -> None:
    family, given = "王李张刘陈杨赵黄周吴", "芳伟娜敏静强磊军洋勇"
    with office.directory.writing() as session:
        session.add_all(
            Customer(
                id=new_id("cus"),
                name=f"{family[number % 10]}{given[number // 10 % 10]} {number:05d}",
                status="active",
                credit_limit_minor=0,
                currency="CNY",
                in_step=1,
                **stamps(),
            )
            for number in range(20_000)
        )
        session.get(DirectoryState, 1).name_changes += 1
    names = CustomerNames(office.directory)
    assert len(names.matching("王芳")) == 200

    best_s = 1.0
    now = names.now()
    for _ in range(20):
        began_s = time.perf_counter()
        # As for the first time: what it remembers would take no time at all.
        found = now._matching("吴勇 19999")
        best_s = min(best_s, time.perf_counter() - began_s)

    assert len(found) == 1
    assert best_s < 0.001
