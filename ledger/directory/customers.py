"""Customers. What is changed of one reaches its account through ledger.directory.in_step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ledger.accounts import SUSPENDED, Account
from ledger.append import Ledger
from ledger.directory import webhooks
from ledger.directory.changes import find, stamped, stamps, touch
from ledger.directory.directory import Directory
from ledger.directory.errors import BadField, InUse
from ledger.directory.in_step import ACTIVE, DEACTIVATED, bring_in_step
from ledger.directory.in_step import INLINE_CUSTOMERS_MAX as INLINE_CUSTOMERS_MAX
from ledger.directory.in_step import Asker as Asker
from ledger.directory.in_step import check_in_step as check_in_step
from ledger.directory.in_step import reconcile as reconcile
from ledger.directory.listing import INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, decimal, page
from ledger.directory.models import ApiKey, Customer, DirectoryState, Level, User
from ledger.errors import BadMoney, OutcomeUnknown, Refused, Unavailable
from ledger.ids import new_id
from ledger.money import codes_with_exponent, currency, format_amount, parse_amount
from ledger.pricing import PERCENT_DECIMALS

KIND = "customer"
STATUSES = (ACTIVE, SUSPENDED, DEACTIVATED)
UNUSED_VERSION_MAX = 2
"""The version of an account that was opened and suspended, and nothing else."""
CREDIT_LIMIT_MINOR_MAX = 10**14 - 1


def _in_ten_thousandths(minor: Any) -> sa.ColumnElement[int]:
    # Amounts of every currency in one unit, so that a list can compare them.
    factors = {codes_with_exponent(exponent): 10 ** (4 - exponent) for exponent in (0, 3, 4)}
    return sa.case(
        *((Customer.currency.in_(codes), minor * factor) for codes, factor in factors.items()), else_=minor * 100
    )


LISTING = Listing(
    name="customers",
    query=sa.select(Customer).outerjoin(Customer.level),
    fields={
        "id": Field(Customer.id, TOKEN),
        "name": Field(Customer.name),
        "mobile": Field(Customer.mobile, nullable=True),
        "contact": Field(Customer.contact, nullable=True),
        "level_id": Field(Customer.level_id, TOKEN, nullable=True),
        "level__name": Field(Level.name, nullable=True),
        "level__discount_percent": Field(
            Level.discount_hundredths, decimal(integer_digits_max=3, decimals_max=PERCENT_DECIMALS), nullable=True
        ),
        "status": Field(Customer.status, TOKEN),
        "credit_limit": Field(
            _in_ten_thousandths(Customer.credit_limit_minor), decimal(integer_digits_max=14, decimals_max=4)
        ),
        "low_balance_threshold": Field(
            _in_ten_thousandths(Customer.low_balance_threshold_minor),
            decimal(integer_digits_max=14, decimals_max=4),
            nullable=True,
        ),
        "currency": Field(Customer.currency, TOKEN),
        "revision": Field(Customer.revision, INTEGER),
        "created_at": Field(Customer.created_at_us, TIME),
        "updated_at": Field(Customer.updated_at_us, TIME),
    },
    shown=(
        "id",
        "name",
        "mobile",
        "contact",
        "level_id",
        "status",
        "credit_limit",
        "low_balance_threshold",
        "currency",
        "revision",
        "created_at",
        "updated_at",
    ),
)


def create(
    directory: Directory, ledger: Ledger, contents: Sequence[Mapping[str, Any]], asker: Asker
) -> list[dict[str, Any]]:
    """Create customers and open their accounts, all rows or none; `currency` must be given. Raises BadField."""
    rows = [
        Customer(
            id=new_id("cus"),
            name=each["name"],
            mobile=each.get("mobile"),
            contact=each.get("contact"),
            level_id=each.get("level_id"),
            status=ACTIVE,
            credit_limit_minor=credit_limit(each.get("credit_limit", "0"), each["currency"]),
            low_balance_threshold_minor=_threshold(each.get("low_balance_threshold"), each["currency"]),
            currency=each["currency"],
            in_step=0,
            **stamps(),
        )
        for each in contents
    ]
    with directory.writing() as session:
        # Each level once, in one order: two bulks then never wait for each other.
        first = {row.level_id: index for index, row in reversed(list(enumerate(rows)))}
        for level_id in sorted(level_id for level_id in first if level_id is not None):
            index = first[level_id]
            _ensure_level(session, level_id, pointer="/level_id" if len(rows) == 1 else f"/{index}/level_id")
        session.add_all(rows)
        _names_changed(session)
    ids = [row.id for row in rows]
    _follow(directory, ledger, ids, asker)
    with already_saved():
        return [read(directory, customer_id) for customer_id in ids] if len(ids) == 1 else read_many(directory, ids)


def listed(directory: Directory, query: ListQuery, *, customer_id: str | None = None) -> Page:
    """Return one page of customers; with a customer, of that customer only."""
    scope = [] if customer_id is None else [Customer.id == customer_id]
    with directory.reading() as session:
        return page(session, LISTING, query, public, *scope)


def read(directory: Directory, customer_id: str) -> dict[str, Any]:
    """Return the customer. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(find(session, Customer, KIND, customer_id))


def read_many(directory: Directory, customer_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the customers with these ids, in that order."""
    with directory.reading() as session:
        found = {row.id: row for row in session.scalars(sa.select(Customer).where(Customer.id.in_(customer_ids)))}
    return [public(found[customer_id]) for customer_id in customer_ids if customer_id in found]


def change(
    directory: Directory,
    ledger: Ledger,
    customer_id: str,
    changes: Mapping[str, Any],
    asker: Asker,
    *,
    revision: int | None = None,
) -> dict[str, Any]:
    """Change a customer and its account.

    Raises DirectoryNotFound, RevisionMismatch, BadField, and what the ledger refuses (then nothing of the account
    is changed).
    """
    with directory.writing() as session:
        # The level before the customer, in the order in which a change of the level locks them.
        _ensure_level(session, changes.get("level_id"), pointer="/level_id")
        row = find(session, Customer, KIND, customer_id, revision=revision, lock=True)
        if changes.get("currency", row.currency) != row.currency:
            raise BadField(pointer="/currency", problem="an account keeps its currency")
        if changes.get("status") == DEACTIVATED and row.status != DEACTIVATED:
            # That looks at the money, and ends the API keys.
            raise BadField(pointer="/status", problem="a customer is deactivated by deleting it")
        if changes.get("name", row.name) != row.name:
            _names_changed(session)
        for name in ("name", "mobile", "contact", "level_id", "status"):
            if name in changes:
                setattr(row, name, changes[name])
        if "credit_limit" in changes:
            row.credit_limit_minor = credit_limit(changes["credit_limit"], row.currency)
        if "low_balance_threshold" in changes:
            row.low_balance_threshold_minor = _threshold(changes["low_balance_threshold"], row.currency)
        if changes.keys() & {"level_id", "status", "credit_limit"}:
            row.in_step = False
        touch(row)
    if not row.in_step:
        refused = _follow(directory, ledger, [customer_id], asker, atomic=True).get(customer_id)
        if refused is not None:
            raise refused
    with already_saved():
        return read(directory, customer_id)


def delete(
    directory: Directory,
    ledger: Ledger,
    customer_id: str,
    account: Account | None,
    asker: Asker,
    *,
    revision: int | None,
) -> bool:
    """Delete a customer without history, deactivate one with; return whether it is gone. Its API keys end either way.

    `account` is its account as it is now. Raises DirectoryNotFound, RevisionMismatch, InUse while there is money or
    credit on it.
    """
    if account is not None and (account.available_minor != 0 or account.held_minor != 0):
        raise InUse(kind=KIND, reason="its balance is not zero; settle the account first")
    with directory.writing() as session:
        row = find(session, Customer, KIND, customer_id, revision=revision, lock=True)
        session.execute(sa.update(ApiKey).where(ApiKey.customer_id == customer_id).values(active=0))
        row.status, row.in_step = DEACTIVATED, False
        touch(row)
        deactivated_at = row.revision
    _follow(directory, ledger, [customer_id], asker)
    # Judged again now that the account is suspended: money may have come while it was not.
    with already_saved():
        settled = ledger.accounts([customer_id])[customer_id]
        if settled.version > UNUSED_VERSION_MAX:
            return False
        with directory.writing() as session:
            row = find(session, Customer, KIND, customer_id, lock=True)
            if (row.status, row.revision) != (DEACTIVATED, deactivated_at):
                # Reactivated since, it may have been recharged.
                return False
            _names_changed(session)
            webhooks.delete_of_customer(session, customer_id)
            session.delete(row)
        return True


def erase(directory: Directory, ledger: Ledger, customer_id: str, asker: Asker) -> None:
    """Remove a customer's personal data for good, deactivate it, end its API keys, login and subscriptions; doing it again
    changes nothing.

    The row stays, so that its id goes on to mean nobody else. The log's `customer.erased` and the erasable details are
    the caller's. Raises DirectoryNotFound.
    """
    with directory.writing() as session:
        row = find(session, Customer, KIND, customer_id, lock=True)
        if (row.name, row.mobile, row.contact, row.status) != ("", None, None, DEACTIVATED):
            _names_changed(session)
            row.name, row.mobile, row.contact = "", None, None
            row.status, row.in_step = DEACTIVATED, False
            touch(row)
        # What somebody called a key may name the person.
        session.execute(sa.update(ApiKey).where(ApiKey.customer_id == customer_id).values(active=0, name=ApiKey.id))
        webhooks.delete_of_customer(session, customer_id)
        session.execute(sa.delete(User).where(User.customer_id == customer_id))
    _follow(directory, ledger, [customer_id], asker)


def _follow(
    directory: Directory, ledger: Ledger, customer_ids: Sequence[str], asker: Asker, *, atomic: bool = False
) -> dict[str, Refused]:
    with already_saved():
        return bring_in_step(directory, ledger, customer_ids, asker, atomic=atomic)


@contextmanager
def already_saved() -> Iterator[None]:
    """Raise OutcomeUnknown where what follows a saved row is Unavailable: that would say that nothing was recorded."""
    try:
        yield
    except Unavailable as error:
        # `reconcile` will finish.
        raise OutcomeUnknown(reason="it is saved, and reaches the account as soon as the ledger answers") from error


def public(row: Customer) -> dict[str, Any]:
    """Return the customer as clients see it."""
    return {
        "id": row.id,
        "name": row.name,
        "mobile": row.mobile,
        "contact": row.contact,
        "level_id": row.level_id,
        "status": row.status,
        "credit_limit": format_amount(row.credit_limit_minor, currency(row.currency)),
        "low_balance_threshold": None
        if row.low_balance_threshold_minor is None
        else format_amount(row.low_balance_threshold_minor, currency(row.currency)),
        "currency": row.currency,
        **stamped(row),
    }


def _ensure_level(session: Session, level_id: str | None, *, pointer: str) -> None:
    if level_id is not None and session.get(Level, level_id, with_for_update={"read": True}) is None:
        raise BadField(pointer=pointer, problem=f"no level {level_id}")


def credit_limit(text: str, code: str) -> int:
    """Return a credit limit or threshold in minor units of the currency. Raises BadMoney."""
    limit_minor = parse_amount(text, currency(code), zero=True)
    if limit_minor > CREDIT_LIMIT_MINOR_MAX:
        raise BadMoney(problem=f"a credit limit is at most {format_amount(CREDIT_LIMIT_MINOR_MAX, currency(code))}")
    return limit_minor


def _threshold(text: str | None, code: str) -> int | None:
    if text is None:
        return None
    try:
        return credit_limit(text, code)
    except BadMoney as error:
        raise BadField(pointer="/low_balance_threshold", problem=error.problem) from None


def _names_changed(session: Session) -> None:
    session.execute(
        sa.update(DirectoryState).where(DirectoryState.id == 1).values(name_changes=DirectoryState.name_changes + 1)
    )
