"""Users: made, changed and ended by whoever may, and never by somebody who may do less than they."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from browser import PASSWORD, Browser, logged_in, new_user
from directory_front import Front
from ledger.directory import passwords, users
from ledger.directory.errors import BadField, InUse
from ledger.directory.models import User


def test_a_user_is_answered_without_anything_of_its_password(front: Front) -> None:
    made = new_user(front, "Ada", name="Ada", mobile="138 0013 8000", locale="zh")

    assert made["username"] == "ada" and made["mobile"] == "+8613800138000"
    assert made["has_password"] is True
    assert made == front.read("users", made["id"])
    with front.services.directory.reading() as session:
        kept = session.scalar(sa.select(User.password_hash))
    assert kept is not None and kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$") and PASSWORD not in kept
    assert kept not in front.ask("GET", "users").text


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"username": ""}, "/username"),
        ({"username": "x" * 65}, "/username"),
        ({"username": "a\nb"}, "/username"),
        ({"username": 5}, "/username"),
        ({"password": "short"}, "/password"),
        ({"password": "x" * 129}, "/password"),
        ({"password": "password1"}, "/password"),
        ({"password": "PassWord1"}, "/password"),
        ({"password": "aaaaaaaaaa"}, "/password"),
        ({"password": "ada.lovelace", "username": "Ada.Lovelace"}, "/password"),
        ({"password": "\ud800" * 10}, "/password"),
        ({"password": 12345678}, "/password"),
        ({"password": None}, "/password"),
        ({"mobile": "12"}, "/mobile"),
        ({"mobile": "+999123456789"}, "/mobile"),
        ({"mobile": "call me"}, "/mobile"),
        ({"role": "boss"}, "/role"),
        ({"role": "customer"}, "/customer_id"),
        ({"customer_id": "cus_none"}, "/customer_id"),
        ({"locale": "fr"}, "/locale"),
        ({"epoch": 7}, "/epoch"),
        ({"active": False}, "/active"),
    ],
)
def test_a_bad_user_is_told_which_field_and_nothing_is_stored(
    front: Front, content: dict[str, Any], pointer: str
) -> None:
    good = {"username": "ada", "role": "operator", "password": PASSWORD}

    answer = front.ask("POST", "users", good | content)

    assert answer.status_code == 422, answer.text
    assert answer.json["errors"][0]["pointer"] == pointer
    assert front.list("users") == []


def test_names_and_numbers_are_unique(front: Front) -> None:
    new_user(front, "ada", mobile="+8613800138000")

    name = front.ask("POST", "users", {"username": "ADA", "role": "auditor", "password": PASSWORD})
    number = front.ask("POST", "users", {"username": "bob", "role": "auditor", "mobile": "13800138000"})

    assert (name.status_code, name.json["field"]) == (409, "username")
    assert (number.status_code, number.json["field"]) == (409, "mobile")


def test_many_users_are_made_at_once_or_none(front: Front) -> None:
    good = [{"username": f"user{n}", "role": "auditor", "mobile": f"1380013800{n}"} for n in range(3)]

    bad = front.ask("POST", "users/bulk", [*good, {"username": "x", "role": "auditor", "mobile": "12"}])
    assert (bad.status_code, bad.json["errors"][0]["pointer"]) == (422, "/3/mobile")
    assert front.list("users") == []
    assert front.ask("POST", "users/bulk", good).status_code == 201
    assert [each["mobile"] for each in front.list("users", sort="username")] == [
        "+8613800138000",
        "+8613800138001",
        "+8613800138002",
    ]


def test_nobody_lets_in_or_changes_who_may_do_more(front: Front) -> None:
    front.create("roles", name="clerk", permissions=["users.read", "users.write", "levels.read"])
    boss = new_user(front, "boss", "admin")
    new_user(front, "clerk", "clerk")
    clerk = Browser(front.app)
    clerk.log_in("clerk")

    asked = [
        clerk.ask("POST", "users", {"username": "x", "role": "admin", "password": PASSWORD}),
        clerk.ask("POST", f"users/{boss['id']}/password", {"password": "mine from now on"}),
        clerk.ask("PATCH", f"users/{boss['id']}", {"mobile": "13800138000"}),
        clerk.ask("PATCH", f"users/{clerk.me()['user_id']}", {"role": "admin"}),
        clerk.ask("DELETE", f"users/{boss['id']}"),
    ]

    assert [each.status_code for each in asked] == [403] * 5
    assert front.read("users", boss["id"]) == boss
    assert Browser(front.app).log_in("boss").status_code == 201
    assert clerk.ask("POST", "users", {"username": "y", "role": "clerk", "password": PASSWORD}).status_code == 201


def test_the_last_administrator_stays(front: Front) -> None:
    first, second = new_user(front, "first", "admin"), new_user(front, "second", "admin")

    assert front.ask("DELETE", f"users/{second['id']}").status_code == 204
    for asked in (
        front.ask("DELETE", f"users/{first['id']}"),
        front.ask("PATCH", f"users/{first['id']}", {"active": False}),
        front.ask("PATCH", f"users/{first['id']}", {"role": "auditor"}),
    ):
        assert (asked.status_code, asked.json["code"]) == (409, "in-use")
    assert front.read("users", first["id"])["active"] is True


def test_whoever_is_bound_to_a_customer_is_no_other_administrator(front: Front) -> None:
    first = new_user(front, "first", "admin")
    bound = new_user(front, "bound", "admin", customer_id=front.create("customers")["id"])

    for asked in (
        front.ask("DELETE", f"users/{first['id']}"),
        front.ask("PATCH", f"users/{first['id']}", {"active": False}),
        front.ask("PATCH", f"users/{first['id']}", {"role": "auditor"}),
    ):
        assert (asked.status_code, asked.json["code"]) == (409, "in-use")
    assert front.read("users", first["id"]) == first
    assert front.ask("DELETE", f"users/{bound['id']}").status_code == 204


def test_the_first_administrator_is_made_beside_one_who_is_bound_to_a_customer(front: Front) -> None:
    bound = new_user(front, "bound", "admin", customer_id=front.create("customers")["id"])
    assert front.ask("PATCH", f"users/{bound['id']}", {"active": False}).status_code == 200
    assert front.ask("PATCH", f"users/{bound['id']}", {"active": True}).status_code == 200

    users.bootstrap(front.services.directory, "root", PASSWORD)

    with pytest.raises(InUse):
        users.bootstrap(front.services.directory, "other", PASSWORD)


def test_a_user_without_a_password_keeps_a_number_to_log_in_by(front: Front) -> None:
    made = front.ask("POST", "users", {"username": "ada", "role": "auditor", "mobile": "13800138000"}).json
    location = f"users/{made['id']}"

    refused = front.ask("PATCH", location, {"mobile": None, "name": "Ada"})

    assert (refused.status_code, [each["pointer"] for each in refused.json["errors"]]) == (422, ["/mobile"])
    assert front.read("users", made["id"]) == made
    assert front.ask("PATCH", location, {"mobile": "13800138001"}).json["mobile"] == "+8613800138001"
    assert front.ask("POST", f"{location}/password", {"password": PASSWORD}).status_code == 200
    without = front.ask("PATCH", location, {"mobile": None})
    assert (without.status_code, without.json["mobile"]) == (200, None)


def test_a_role_that_users_have_is_not_deleted(front: Front) -> None:
    role = front.create("roles", name="clerk", permissions=[])
    new_user(front, "ada", "clerk")

    assert front.ask("DELETE", f"roles/{role['id']}").status_code == 409


def test_the_first_administrator_is_made_once(front: Front) -> None:
    directory = front.services.directory

    with pytest.raises(BadField):
        users.bootstrap(directory, "root", "password1")
    for username in ("", " root", "ro\not", "x" * 65):
        with pytest.raises(BadField):
            users.bootstrap(directory, username, PASSWORD)
    users.bootstrap(directory, "Root", PASSWORD)
    with pytest.raises(InUse):
        users.bootstrap(directory, "other", PASSWORD)

    browser = Browser(front.app)
    browser.log_in("root")
    assert browser.me()["role"] == "admin"


def test_of_two_who_make_the_first_administrator_at_once_one_does(front: Front) -> None:
    def attempt(name: str) -> bool:
        try:
            users.bootstrap(front.services.directory, name, PASSWORD)
        except InUse:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(attempt, ["a1", "b2", "c3", "d4"]))

    assert sorted(done) == [False, False, False, True]


def test_a_wrong_name_takes_a_hash_as_well(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str | None] = []
    right = passwords.is_right
    monkeypatch.setattr(passwords, "is_right", lambda text, kept: checked.append(kept) or right(text, kept))

    assert users.person_of_password(front.services.directory, "nobody", PASSWORD) is None

    assert checked == [None]


def test_a_password_kept_with_less_work_is_kept_anew_at_the_next_login(front: Front) -> None:
    from argon2 import PasswordHasher

    new_user(front, "ada")
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with front.services.directory.writing() as session:
        session.execute(sa.update(User).values(password_hash=weak))

    assert Browser(front.app).log_in("ada").status_code == 201

    with front.services.directory.reading() as session:
        kept = session.scalar(sa.select(User.password_hash))
    assert kept is not None and kept != weak and not passwords.is_outdated(kept)


OTHER_PASSWORD = "set by somebody else"


def reset_while_it_is_checked(front: Front, user_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the user's password set anew right after a check has found the old one to be right."""
    right = passwords.is_right

    def check(password: str, kept: str | None) -> bool:
        found = right(password, kept)
        if password == PASSWORD and found:
            users.set_password(front.services.directory, user_id, OTHER_PASSWORD)
        return found

    monkeypatch.setattr(passwords, "is_right", check)


@pytest.mark.parametrize("time_cost", [1, 2])
def test_a_password_that_is_reset_while_it_is_checked_logs_nobody_in(
    front: Front, monkeypatch: pytest.MonkeyPatch, time_cost: int
) -> None:
    from argon2 import PasswordHasher

    directory, user = front.services.directory, new_user(front, "ada")
    kept = PasswordHasher(time_cost=time_cost, memory_cost=19 * 1024, parallelism=1).hash(PASSWORD)
    assert passwords.is_outdated(kept) == (time_cost == 1)
    with directory.writing() as session:
        session.execute(sa.update(User).values(password_hash=kept))
    reset_while_it_is_checked(front, user["id"], monkeypatch)

    assert users.person_of_password(directory, "ada", PASSWORD) is None

    found = users.person_of_password(directory, "ada", OTHER_PASSWORD)
    assert found is not None and found.id == user["id"]


def test_two_logins_at_once_with_a_password_kept_with_less_work_are_both_let_in(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    from argon2 import PasswordHasher

    directory, hashed = front.services.directory, passwords.hashed
    new_user(front, "ada")
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with directory.writing() as session:
        session.execute(sa.update(User).values(password_hash=weak))
    others: list[users.Person | None] = []

    def hash_while_another_logs_in(password: str) -> str:
        monkeypatch.setattr(passwords, "hashed", hashed)
        others.append(users.person_of_password(directory, "ada", PASSWORD))
        return hashed(password)

    monkeypatch.setattr(passwords, "hashed", hash_while_another_logs_in)

    assert users.person_of_password(directory, "ada", PASSWORD) is not None
    assert len(others) == 1 and others[0] is not None


def test_whoever_changes_his_password_does_not_put_it_over_one_that_was_reset_meanwhile(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = new_user(front, "ada")
    browser = logged_in(front, "ada")
    reset_while_it_is_checked(front, user["id"], monkeypatch)

    answer = browser.ask("POST", "me/password", {"password": PASSWORD, "new_password": "another fine phrase"})

    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")
    assert Browser(front.app).log_in("ada", "another fine phrase").status_code == 401
    assert Browser(front.app).log_in("ada", OTHER_PASSWORD).status_code == 201
