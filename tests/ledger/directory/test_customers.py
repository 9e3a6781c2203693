"""Customers and their accounts stay in step, whatever happens between the two databases."""

import pytest
import sqlalchemy as sa

from ledger.commands import Deduct, OpenAccount, Recharge
from ledger.directory import access, customers, levels, products, roles
from ledger.directory.changes import stamps
from ledger.directory.customers import Asker, reconcile
from ledger.directory.errors import AlreadyExists, BadField, DirectoryNotFound, InUse, RevisionMismatch
from ledger.directory.models import Base, Customer, Role
from ledger.directory.names import CustomerNames
from ledger.directory.permissions import PERMISSIONS, ROLES
from ledger.errors import CreditLimitInUse
from ledger.ids import new_id
from submissions import prove, submission

ASKER = Asker(actor="key:test", correlation_id="test")


def recharge(office, customer_id: str, amount_minor: int) -> None:  # type: ignore[no-untyped-def]
    command = Recharge(account_id=customer_id, amount_minor=amount_minor, currency="CNY")
    assert office.ledger.append(submission(command)).error is None


def test_a_new_customers_account_opens_with_its_levels_percentage(office) -> None:  # type: ignore[no-untyped-def]
    level_id = office.level("Gold", "90")

    made = office.customer("李伟", level_id=level_id, credit_limit="50.00", mobile="+8613800000000")

    account = office.ledger.accounts([made["id"]])[made["id"]]
    assert (account.level_id, account.discount_percent, account.credit_limit_minor) == (level_id, "90", 5_000)
    assert (made["status"], made["credit_limit"], made["currency"]) == ("active", "50.00", "CNY")


def test_a_customer_whose_account_was_not_opened_is_finished_by_the_sweeper(office) -> None:  # type: ignore[no-untyped-def]
    row = Customer(
        id=new_id("cus"), name="x", status="active", credit_limit_minor=0, currency="CNY", in_step=0, **stamps()
    )
    with office.directory.writing() as session:
        session.add(row)

    assert reconcile(office.directory, office.ledger) == 1

    assert office.ledger.accounts([row.id])[row.id].status == "open"
    assert reconcile(office.directory, office.ledger) == 0
    assert prove(office.directory.engine) == 1


def test_a_levels_new_percentage_reaches_every_account_that_has_it(office) -> None:  # type: ignore[no-untyped-def]
    level_id = office.level("Gold", "90")
    ids = [office.customer(f"c{number}", level_id=level_id)["id"] for number in range(3)]
    other = office.customer("other")["id"]

    levels.change(office.directory, level_id, {"discount_percent": "80"})
    reconcile(office.directory, office.ledger)

    accounts = office.ledger.accounts([*ids, other])
    assert [accounts[each].discount_percent for each in ids] == ["80"] * 3
    assert accounts[other].version == 1


def test_level_credit_and_status_change_the_account(office) -> None:  # type: ignore[no-untyped-def]
    customer_id, level_id = office.customer()["id"], office.level("Silver", "95.5")

    office.change(customer_id, level_id=level_id, credit_limit="10.00", status="suspended")
    account = office.ledger.accounts([customer_id])[customer_id]
    assert (account.discount_percent, account.credit_limit_minor, account.status) == ("95.5", 1_000, "suspended")

    office.change(customer_id, level_id=None, status="active")
    account = office.ledger.accounts([customer_id])[customer_id]
    assert (account.discount_percent, account.level_id, account.status) == ("100", None, "open")


def test_what_the_ledger_refuses_is_refused_and_the_customer_stays_as_its_account_is(office) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer(credit_limit="50.00")["id"]
    office.ledger.append(submission(Deduct(account_id=customer_id, amount_minor=4_000, currency="CNY")))

    with pytest.raises(CreditLimitInUse):
        office.change(customer_id, credit_limit="39.99", name="new name")

    assert customers.read(office.directory, customer_id)["credit_limit"] == "50.00"
    assert reconcile(office.directory, office.ledger) == 0


def test_a_customer_without_history_is_deleted_and_one_with_history_deactivated(office) -> None:  # type: ignore[no-untyped-def]
    new, used = office.customer("new")["id"], office.customer("used")["id"]
    recharge(office, used, 100)

    def delete(customer_id: str) -> bool:
        account = office.ledger.accounts([customer_id])[customer_id]
        return customers.delete(office.directory, office.ledger, customer_id, account, ASKER, revision=None)

    assert delete(new)
    with pytest.raises(DirectoryNotFound):
        customers.read(office.directory, new)
    with pytest.raises(InUse):
        delete(used)
    office.ledger.append(submission(Deduct(account_id=used, amount_minor=100, currency="CNY")))
    assert not delete(used)
    assert customers.read(office.directory, used)["status"] == "deactivated"
    assert office.ledger.accounts([used])[used].status == "suspended"


def test_deleting_a_customer_ends_its_keys(office) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer()["id"]
    ((_, secret),) = access.create_api_keys(
        office.directory, [{"name": "k", "role": "customer", "customer_id": customer_id}]
    )
    principals = access.Principals(office.directory, remember_s=0)
    assert principals.of_key(secret).customer_id == customer_id

    account = office.ledger.accounts([customer_id])[customer_id]
    customers.delete(office.directory, office.ledger, customer_id, account, ASKER, revision=None)

    assert principals.of_key(secret) is None


def test_a_key_of_a_deactivated_customer_stands_for_nobody(office) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer()["id"]
    recharge(office, customer_id, 100)
    office.ledger.append(submission(Deduct(account_id=customer_id, amount_minor=100, currency="CNY")))
    account = office.ledger.accounts([customer_id])[customer_id]
    assert not customers.delete(office.directory, office.ledger, customer_id, account, ASKER, revision=None)
    ((_, secret),) = access.create_api_keys(
        office.directory, [{"name": "k", "role": "customer", "customer_id": customer_id}]
    )
    principals = access.Principals(office.directory, remember_s=0)

    deactivated = principals.of_key(secret)
    office.change(customer_id, status="active")
    active = principals.of_key(secret)

    assert deactivated is None
    assert active is not None and active.customer_id == customer_id


def test_a_change_of_an_old_revision_is_refused(office) -> None:  # type: ignore[no-untyped-def]
    made = office.customer()
    office.change(made["id"], contact="somebody")

    with pytest.raises(RevisionMismatch):
        customers.change(
            office.directory, office.ledger, made["id"], {"contact": "else"}, ASKER, revision=made["revision"]
        )


def test_a_level_in_use_cannot_be_deleted_and_its_name_is_its_own(office) -> None:  # type: ignore[no-untyped-def]
    level_id = office.level("Gold", "90")
    customer_id = office.customer(level_id=level_id)["id"]

    with pytest.raises(InUse):
        levels.delete(office.directory, level_id)
    with pytest.raises(AlreadyExists):
        office.level("Gold", "80")
    office.change(customer_id, level_id=None)
    levels.delete(office.directory, level_id)
    with pytest.raises(BadField):
        office.customer(level_id=level_id)


def test_an_account_cannot_change_its_currency(office) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadField):
        office.change(office.customer()["id"], currency="JPY")


def test_any_part_of_a_name_finds_its_customers(office) -> None:  # type: ignore[no-untyped-def]
    ids = {name: office.customer(name)["id"] for name in ("王小明", "Ming Wang", "ＷＡＮＧ Fang", "欧阳明明", "Straße")}
    names = CustomerNames(office.directory)

    assert set(names.matching("wang")) == {ids["Ming Wang"], ids["ＷＡＮＧ Fang"]}
    assert set(names.matching("明")) == {ids["王小明"], ids["欧阳明明"]}
    assert names.matching("STRASSE") == [ids["Straße"]]
    assert names.matching("") == names.matching("g\nf") == names.matching("nobody") == []

    office.change(ids["王小明"], name="张小明")
    assert names.matching("王") == []
    assert names.name_of(ids["王小明"]) == "张小明"


def test_a_product_keeps_its_price_exactly_and_its_secret_to_itself(office) -> None:  # type: ignore[no-untyped-def]
    content = {"sku": "sms", "name": "短信", "unit_price": "0.0455", "currency": "CNY", "executor": "http"}
    tiers = [{"from_quantity": 1_000, "unit_price": "0.04"}]
    settings = {"url": "https://a.example", "secret": "s3"}
    made = products.create(office.directory, [{**content, "tiers": tiers, "executor_settings": settings}])[0]

    terms = products.terms_of(office.directory, "sms")
    assert terms is not None and (terms.unit_price, terms.tiers[0].unit_price) == ("0.0455", "0.04")
    assert made["executor_settings"] == {"url": "https://a.example", "secret": "(set)"}
    products.change(
        office.directory, made["id"], {"executor_settings": {"url": "https://b.example", "secret": "(set)"}}
    )
    assert products.executor_of(office.directory, "sms") == ("http", {"url": "https://b.example", "secret": "s3"})
    products.change(office.directory, made["id"], {"active": False})
    assert products.terms_of(office.directory, "sms") is None
    with pytest.raises(AlreadyExists):
        products.create(office.directory, [{**content, "executor_settings": settings}])


def test_roles_come_ready_and_keys_carry_their_permissions_at_once(office) -> None:  # type: ignore[no-untyped-def]
    own = roles.create(office.directory, [{"name": "cashier", "permissions": ["recharges.post"]}])[0]
    ((key, secret),) = access.create_api_keys(office.directory, [{"name": "till", "role": "cashier"}])
    principals = access.Principals(office.directory, remember_s=60)
    assert principals.of_key(secret).permissions == {"recharges.post"}

    roles.change(office.directory, own["id"], {"permissions": ["recharges.post", "balances.read"]})
    principals.forget()

    assert principals.of_key(secret).permissions == {"recharges.post", "balances.read"}
    with pytest.raises(InUse):
        roles.delete(office.directory, own["id"])
    access.change(office.directory, key["id"], {"active": False})
    principals.forget()
    assert principals.of_key(secret) is None
    assert principals.of_key("olk_nonsense\ud800") is None


def test_the_permissions_of_roles_exist_and_admin_has_all() -> None:
    assert set().union(*ROLES.values()) <= set(PERMISSIONS) == ROLES["admin"]


def test_a_key_for_a_customer_role_needs_its_customer(office) -> None:  # type: ignore[no-untyped-def]
    for content in ({"role": "customer"}, {"role": "nobody"}, {"role": "customer", "customer_id": "cus_9"}):
        with pytest.raises(BadField):
            access.create_api_keys(office.directory, [{"name": "k", **content}])


def test_the_migrated_roles_are_the_ones_that_the_code_names(office) -> None:  # type: ignore[no-untyped-def]
    with office.directory.reading() as session:
        stored = {row.name: {each.permission for each in row.permissions} for row in session.scalars(sa.select(Role))}

    assert stored == ROLES


def test_erasing_a_customer_leaves_nothing_of_the_person_and_ends_its_keys(office) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer("王芳", mobile="+8613800000000", contact="wang@example.com")["id"]
    ((_, secret),) = access.create_api_keys(
        office.directory, [{"name": "k", "role": "customer", "customer_id": customer_id}]
    )
    names = CustomerNames(office.directory)
    assert names.matching("王") == [customer_id]

    customers.erase(office.directory, office.ledger, customer_id, ASKER)
    shown = customers.read(office.directory, customer_id)
    customers.erase(office.directory, office.ledger, customer_id, ASKER)

    assert (shown["name"], shown["mobile"], shown["contact"], shown["status"]) == ("", None, None, "deactivated")
    assert customers.read(office.directory, customer_id) == shown
    assert office.ledger.accounts([customer_id])[customer_id].status == "suspended"
    assert access.Principals(office.directory).of_key(secret) is None
    assert names.matching("王") == []
    with pytest.raises(DirectoryNotFound):
        customers.erase(office.directory, office.ledger, "cus_9", ASKER)


@pytest.mark.parametrize(
    "entered", [{"mobile": "+8613800000001"}, {"contact": "wang@example.com"}, {"status": "active"}]
)
def test_what_was_entered_after_an_erasure_is_gone_after_the_next(office, entered) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer("王芳")["id"]
    customers.erase(office.directory, office.ledger, customer_id, ASKER)
    office.change(customer_id, **entered)

    customers.erase(office.directory, office.ledger, customer_id, ASKER)

    shown = customers.read(office.directory, customer_id)
    assert (shown["name"], shown["mobile"], shown["contact"], shown["status"]) == ("", None, None, "deactivated")
    assert office.ledger.accounts([customer_id])[customer_id].status == "suspended"


def test_the_keys_of_an_erased_customer_have_no_name_that_somebody_gave_them(office) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer("王芳")["id"]
    contents = [{"name": "王芳's key", "role": "customer", "customer_id": customer_id}] * 2
    keys = [key["id"] for key, _ in access.create_api_keys(office.directory, contents)]

    customers.erase(office.directory, office.ledger, customer_id, ASKER)

    assert [access.read(office.directory, key_id)["name"] for key_id in keys] == keys


def test_the_migrations_make_what_the_models_say(office) -> None:  # type: ignore[no-untyped-def]
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from ledger.schema import metadata

    with office.directory.engine.connect() as connection:
        for wanted in (metadata, Base.metadata):
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_object": lambda thing, name, kind, reflected, other, wanted=wanted: _ours(
                        thing, kind, wanted
                    )
                },
            )
            assert compare_metadata(context, wanted) == []


def _ours(thing, kind, wanted) -> bool:  # type: ignore[no-untyped-def]
    table = thing.name if kind == "table" else thing.table.name
    return table in wanted.tables


def test_the_ledger_outlives_a_second_opening_of_an_account(office) -> None:  # type: ignore[no-untyped-def]
    customer_id = office.customer()["id"]

    again = office.ledger.append(submission(OpenAccount(account_id=customer_id, currency="CNY")))

    assert again.error is not None and again.error.code == "account-exists"
    with office.directory.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM events")).scalar_one() == 1
