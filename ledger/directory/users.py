"""Users: people who log in. A customer's login is tied to its customer, one to one.

Whatever ends a user's sessions raises the `epoch`: a session of an earlier one is none any more, wherever it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import phonenumbers
import sqlalchemy as sa
from sqlalchemy.orm import Session, contains_eager, joinedload

from ledger.directory import passwords
from ledger.directory.access import Principal, granted, own_menu, role_named
from ledger.directory.changes import find, stamped, stamps, touch
from ledger.directory.directory import Directory
from ledger.directory.errors import AlreadyExists, BadField, InUse
from ledger.directory.in_step import DEACTIVATED
from ledger.directory.listing import BOOLEAN, INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, page
from ledger.directory.models import Customer, Role, User
from ledger.directory.names import folded
from ledger.ids import new_id

KIND = "user"
CUSTOMER_ROLE, ADMIN_ROLE = "customer", "admin"
USERNAME_LENGTH_MAX = 64
NUMBER_LENGTH_MAX = 16
"""Of a number as E.164 has it: a sign and 15 digits."""

LISTING = Listing(
    name="users",
    query=sa.select(User).join(User.role).outerjoin(User.customer).options(contains_eager(User.role)),
    fields={
        "id": Field(User.id, TOKEN),
        "username": Field(User.username),
        "name": Field(User.name, nullable=True),
        "mobile": Field(User.mobile, TOKEN, nullable=True),
        "role": Field(Role.name),
        "role__name": Field(Role.name),
        "customer_id": Field(User.customer_id, TOKEN, nullable=True),
        "customer__name": Field(Customer.name, nullable=True),
        "active": Field(User.active, BOOLEAN),
        "revision": Field(User.revision, INTEGER),
        "created_at": Field(User.created_at_us, TIME),
        "updated_at": Field(User.updated_at_us, TIME),
    },
    shown=(
        "id",
        "username",
        "name",
        "mobile",
        "role",
        "customer_id",
        "locale",
        "has_password",
        "active",
        "revision",
        "created_at",
        "updated_at",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user as a session needs it: who it is, what it may do now, and which of its sessions count."""

    id: str
    username: str
    name: str | None
    locale: str | None
    has_password: bool
    epoch: int
    principal: Principal


def create(directory: Directory, contents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Create users by username, role and optional name, mobile, customer_id, locale and password, all or none.

    Raises AlreadyExists, BadField.
    """
    kept = [None if each.get("password") is None else passwords.hashed(each["password"]) for each in contents]
    rows = []
    with _unique(), directory.writing() as session:
        for each, password_hash in zip(contents, kept, strict=True):
            row = User(
                id=new_id("usr"),
                username=_kept_username(each["username"]),
                name=each.get("name"),
                mobile=each.get("mobile"),
                role=role_named(session, each["role"]),
                customer_id=each.get("customer_id"),
                password_hash=password_hash,
                locale=each.get("locale"),
                active=1,
                epoch=1,
                **stamps(),
            )
            _ensure_bound(session, row)
            session.add(row)
            rows.append(row)
    return [public(row) for row in rows]


def bootstrap(directory: Directory, username: str, password: str) -> dict[str, Any]:
    """Create the first administrator. Raises InUse when there is one, BadField for a name or password that is not taken."""
    if not username or username_problem(username) or not username.isprintable() or username != username.strip():
        raise BadField(
            pointer="/username", problem=f"expected 1 to {USERNAME_LENGTH_MAX} letters, no space at either end"
        )
    problem = passwords.problem_of(password, username=username)
    if problem is not None:
        raise BadField(pointer="/password", problem=problem)
    kept = passwords.hashed(password)
    with _unique(), directory.writing() as session:
        # The role's row is written: of two that do this at the same time the second finds the first's user.
        session.execute(_touching_admin_role())
        role = session.scalar(sa.select(Role).where(Role.name == ADMIN_ROLE))
        if role is None:
            raise BadField(pointer="/role", problem=f"no role {ADMIN_ROLE}")
        if session.scalar(sa.select(sa.func.count()).where(User.role_id == role.id, User.customer_id.is_(None))):
            raise InUse(kind=KIND, reason="there is an administrator already")
        row = User(
            id=new_id("usr"), username=folded(username), role=role, password_hash=kept, active=1, epoch=1, **stamps()
        )
        session.add(row)
    return public(row)


def listed(directory: Directory, query: ListQuery) -> Page:
    """Return one page of users."""
    with directory.reading() as session:
        return page(session, LISTING, query, public)


def read(directory: Directory, user_id: str) -> dict[str, Any]:
    """Return the user. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(_loaded(session, user_id))


def change(
    directory: Directory, user_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> dict[str, Any]:
    """Change a user; one that is deactivated has no session any more.

    Raises DirectoryNotFound, RevisionMismatch, AlreadyExists, BadField, InUse for the last active administrator.
    """
    with _unique(), directory.writing() as session:
        row = _loaded(session, user_id, revision=revision, lock=True)
        was_admin = _is_admin(row)
        if row.mobile is not None and row.password_hash is None and changes.get("mobile", row.mobile) is None:
            # As of a new one.
            raise BadField(pointer="/mobile", problem="a user without a password needs its mobile number to log in")
        for name in ("name", "mobile", "locale"):
            if name in changes:
                setattr(row, name, changes[name])
        if "username" in changes:
            row.username = _kept_username(changes["username"])
        if "role" in changes:
            row.role = role_named(session, changes["role"])
        if changes.get("active", row.active) != row.active:
            row.active = changes["active"]
            row.epoch += 1
        _ensure_bound(session, row)
        if was_admin and not _is_admin(row):
            _ensure_other_admin(session, row)
        touch(row)
    return public(row)


def set_password(directory: Directory, user_id: str, password: str, *, epoch: int | None = None) -> int | None:
    """Set a user's password and return the new epoch: the sessions so far have ended. Raises DirectoryNotFound.

    With an `epoch` only while it is the user's; None when it is not any more.
    """
    kept = passwords.hashed(password)
    with directory.writing() as session:
        row = _loaded(session, user_id, lock=True)
        if epoch is not None and row.epoch != epoch:
            return None
        row.password_hash = kept
        row.epoch += 1
        touch(row)
        return row.epoch


def end_sessions(directory: Directory, user_id: str) -> int:
    """End all of a user's sessions and return the new epoch. Raises DirectoryNotFound."""
    with directory.writing() as session:
        row = _loaded(session, user_id, lock=True)
        row.epoch += 1
        return row.epoch


def delete(directory: Directory, user_id: str, *, revision: int | None = None) -> None:
    """Delete a user; what it did stays in the log under its id.

    Raises DirectoryNotFound, RevisionMismatch, InUse for the last active administrator.
    """
    with directory.writing() as session:
        row = _loaded(session, user_id, revision=revision, lock=True)
        if _is_admin(row):
            _ensure_other_admin(session, row)
        session.delete(row)


def person(directory: Directory, user_id: str) -> Person | None:
    """Return the user if it may work here now."""
    return _person(directory, User.id == user_id)


def person_of_mobile(directory: Directory, mobile: str) -> Person | None:
    """Return the user with this number (E.164) if it may work here now."""
    return _person(directory, User.mobile == mobile)


def person_of_password(directory: Directory, username: str, password: str) -> Person | None:
    """Return the user with this name and password if it may work here now; whatever is wrong takes as long."""
    with directory.reading() as session:
        found = session.execute(sa.select(User.id, User.password_hash).where(User.username == folded(username))).first()
    user_id, kept = found or (None, None)
    if not passwords.is_right(password, kept) or user_id is None or kept is None:
        return None
    if passwords.is_outdated(kept):
        kept_anew = passwords.hashed(password)
        with directory.writing() as session:
            keeping = sa.update(User).where(User.id == user_id, User.password_hash == kept)
            is_kept = session.execute(keeping.values(password_hash=kept_anew)).rowcount == 1  # type: ignore[attr-defined]
        if not is_kept:
            # Another login was first, or it has another password by now.
            return person_of_password(directory, username, password)
        kept = kept_anew
    # Checking took its time: a password that was changed meanwhile logs nobody in any more.
    return _person(directory, User.id == user_id, User.password_hash == kept)


def has_password(directory: Directory, user_id: str, password: str) -> bool:
    """Say whether this is the user's password."""
    with directory.reading() as session:
        kept = session.scalar(sa.select(User.password_hash).where(User.id == user_id))
    return passwords.is_right(password, kept)


def username_problem(username: str) -> str | None:
    """Say so when a username is too long as it is kept; None for nothing."""
    if len(folded(username)) > USERNAME_LENGTH_MAX:
        return f"as it is kept, in small letters and plain forms, it may have {USERNAME_LENGTH_MAX} characters"
    return None


def mobile_number(text: str, region: str) -> str:
    """Return a number as E.164; without a country code it is the region's. Raises ValueError."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise ValueError("expected a mobile number such as +8613800138000") from None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(parsed) or len(number) > NUMBER_LENGTH_MAX:
        raise ValueError("there is no such number; expected one such as +8613800138000")
    return number


def public(row: User) -> dict[str, Any]:
    """Return the user as clients see it."""
    return {
        "id": row.id,
        "username": row.username,
        "name": row.name,
        "mobile": row.mobile,
        "role": row.role.name,
        "customer_id": row.customer_id,
        "locale": row.locale,
        "has_password": row.password_hash is not None,
        "active": bool(row.active),
        **stamped(row),
    }


def _person(directory: Directory, *conditions: sa.ColumnElement[bool]) -> Person | None:
    query = (
        sa.select(User, Customer.status)
        .outerjoin(Customer, User.customer_id == Customer.id)
        .options(joinedload(User.role))
        .where(User.active == 1, *conditions)
    )
    with directory.reading() as session:
        found = session.execute(query).first()
    if found is None or found.status == DEACTIVATED:
        return None
    row: User = found.User
    return Person(
        id=row.id,
        username=row.username,
        name=row.name,
        locale=row.locale,
        has_password=row.password_hash is not None,
        epoch=row.epoch,
        principal=Principal(
            id=f"user:{row.id}",
            role=row.role.name,
            permissions=granted(row),
            customer_id=row.customer_id,
            menu=own_menu(row.role),
        ),
    )


def _loaded(session: Session, user_id: str, *, revision: int | None = None, lock: bool = False) -> User:
    find(session, User, KIND, user_id, revision=revision, lock=lock)
    return session.scalars(sa.select(User).options(joinedload(User.role)).where(User.id == user_id)).one()


@contextmanager
def _unique() -> Iterator[None]:
    """Turn the database's objection to a duplicate into AlreadyExists that names the field."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        objection = str(error.orig)
        field = next((each for each in ("mobile", "customer_id") if each in objection), "username")
        raise AlreadyExists(kind=KIND, field=field) from error


def _kept_username(username: str) -> str:
    problem = username_problem(username)
    if problem is not None:
        raise BadField(pointer="/username", problem=problem)
    return folded(username)


def _ensure_bound(session: Session, row: User) -> None:
    if row.role.name == CUSTOMER_ROLE and row.customer_id is None:
        raise BadField(pointer="/customer_id", problem="a user with the role customer needs its customer")
    if row.customer_id is not None and session.get(Customer, row.customer_id) is None:
        raise BadField(pointer="/customer_id", problem=f"no customer {row.customer_id}")


def _is_admin(row: User) -> bool:
    # Whoever is bound to a customer administers nothing, whatever his role.
    return row.role.name == ADMIN_ROLE and row.customer_id is None and bool(row.active)


def _ensure_other_admin(session: Session, row: User) -> None:
    others = sa.select(sa.func.count()).where(
        User.role_id == sa.select(Role.id).where(Role.name == ADMIN_ROLE).scalar_subquery(),
        User.customer_id.is_(None),
        User.active == 1,
        User.id != row.id,
    )
    # The role's row is written first, so that two administrators cannot remove each other at once.
    session.execute(_touching_admin_role())
    if not session.scalar(others):
        raise InUse(kind=KIND, reason="it is the last administrator")


def _touching_admin_role() -> sa.Update:
    # Locked would do on one server; but nodes of Galera see only what each other writes.
    return sa.update(Role).where(Role.name == ADMIN_ROLE).values(updated_at_us=Role.updated_at_us + 1)
