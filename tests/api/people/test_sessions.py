"""Logging in, staying, leaving: with each session store."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any

import pytest

from api.sessions import sessions as sessions_module
from browser import PASSWORD, Browser, logged_in, new_user
from directory_front import Front


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many seconds sessions think have passed."""

    def passed(seconds: float) -> None:
        monkeypatch.setattr(sessions_module, "now_us", lambda: time.time_ns() // 1_000 + int(seconds * 1e6))

    return passed


def test_a_user_logs_in_by_password_and_is_told_who_it_is(people: Front) -> None:
    user = new_user(people, "Wang.Fang", "auditor", name="王芳", locale="zh")
    browser = Browser(people.app)

    answer = browser.log_in("wang.FANG")

    assert answer.status_code == 201
    assert answer.json["actor"] == f"user:{user['id']}"
    assert (answer.json["role"], answer.json["name"], answer.json["locale"]) == ("auditor", "王芳", "zh")
    assert "events.read" in answer.json["permissions"] and "recharges.post" not in answer.json["permissions"]
    assert browser.me() == answer.json


def test_the_cookie_is_bound_to_the_host_and_hidden_from_scripts(people: Front) -> None:
    new_user(people, "ada")

    header = Browser(people.app).log_in("ada").headers["Set-Cookie"]

    ((name, morsel),) = SimpleCookie(header).items()
    assert name == "__Host-orderledger"
    assert (morsel["path"], morsel["domain"], morsel["samesite"]) == ("/", "", "Lax")
    assert morsel["secure"] and morsel["httponly"] and morsel["max-age"] == "43200"
    assert len(morsel.value) >= 43


def test_whatever_is_wrong_about_a_login_is_answered_alike(people: Front) -> None:
    new_user(people, "ada")
    closed = new_user(people, "bob")
    people.ask("PATCH", f"users/{closed['id']}", {"active": False})

    wrongs = [("ada", "wrong password"), ("nobody", PASSWORD), ("bob", PASSWORD), ("ada", PASSWORD + " ")]
    answers = [Browser(people.app).log_in(*wrong) for wrong in wrongs]

    assert [each.status_code for each in answers] == [401] * 4
    assert len({each.json["detail"] for each in answers}) == 1
    assert all("Set-Cookie" not in each.headers for each in answers)


def test_a_change_needs_the_sessions_token(people: Front) -> None:
    new_user(people, "ada", "admin")
    browser = logged_in(people, "ada")
    token, browser.csrf = browser.csrf, ""

    bare = browser.ask("POST", "levels", {"name": "Gold", "discount_percent": "90"})
    wrong = browser.ask("POST", "levels", {"name": "Gold", "discount_percent": "90"}, X_CSRF_Token="x" + token[1:])
    odd = browser.ask("POST", "levels", {"name": "Gold", "discount_percent": "90"}, X_CSRF_Token="£")
    right = browser.ask("POST", "levels", {"name": "Gold", "discount_percent": "90"}, X_CSRF_Token=token)

    assert [each.status_code for each in (bare, wrong, odd, right)] == [403, 403, 403, 201]
    assert bare.json["code"] == "csrf-token-wrong"
    assert len(people.list("levels")) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_makes_a_browser_ask_is_refused(people: Front, site: str) -> None:
    new_user(people, "ada", "admin")
    browser = logged_in(people, "ada")

    change = browser.ask("POST", "levels", {"name": "Gold", "discount_percent": "90"}, Sec_Fetch_Site=site)
    login = browser.ask("POST", "session", {"username": "ada", "password": PASSWORD}, Sec_Fetch_Site=site)

    assert (change.status_code, change.json["code"]) == (403, "cross-site")
    assert (login.status_code, login.json["code"]) == (403, "cross-site")
    assert people.list("levels") == []


def test_a_session_from_before_a_login_is_not_carried_into_it(people: Front) -> None:
    new_user(people, "ada")
    new_user(people, "eve")
    attacker = logged_in(people, "eve")
    planted = attacker.cookie
    assert planted is not None
    victim = Browser(people.app)
    victim.client.set_cookie("__Host-orderledger", planted, domain="ledger.test", secure=True)

    victim.log_in("ada")

    assert victim.cookie != planted
    assert victim.me()["username"] == "ada"
    assert attacker.ask("GET", "me").status_code == 401


def test_an_id_that_nobody_gave_out_is_never_taken_over(people: Front) -> None:
    new_user(people, "ada")
    browser = Browser(people.app)
    browser.client.set_cookie("__Host-orderledger", "A" * 43, domain="ledger.test", secure=True)

    assert browser.ask("GET", "me").status_code == 401
    browser.log_in("ada")

    assert browser.cookie != "A" * 43


def test_after_logging_out_the_cookie_opens_nothing(people: Front) -> None:
    new_user(people, "ada")
    browser = logged_in(people, "ada")
    kept = browser.cookie
    assert kept is not None

    answer = browser.ask("DELETE", "session")

    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    browser.client.set_cookie("__Host-orderledger", kept, domain="ledger.test", secure=True)
    assert browser.ask("GET", "me").status_code == 401


def test_a_session_ends_when_it_is_idle_and_at_its_age(people: Front, clock: Any) -> None:
    new_user(people, "ada")
    idle, busy = logged_in(people, "ada"), logged_in(people, "ada")

    for minutes in range(0, 12 * 60, 60):
        clock(minutes * 60)
        assert busy.ask("GET", "me").status_code == 200
    assert idle.ask("GET", "me").status_code == 401
    clock(12 * 3_600 + 1)

    assert busy.ask("GET", "me").status_code == 401


def test_one_sees_and_ends_ones_own_sessions_and_nobody_elses(people: Front) -> None:
    new_user(people, "ada")
    new_user(people, "eve")
    here, there = logged_in(people, "ada"), logged_in(people, "ada", address="198.51.100.7")
    eve = logged_in(people, "eve")

    listed = here.ask("GET", "sessions").json["data"]

    assert [(each["current"], each["address"]) for each in listed] == [(False, "198.51.100.7"), (True, "192.0.2.1")]
    assert eve.ask("DELETE", f"sessions/{listed[0]['id']}").status_code == 404
    assert there.ask("GET", "me").status_code == 200
    assert here.ask("DELETE", f"sessions/{listed[0]['id']}").status_code == 204
    assert there.ask("GET", "me").status_code == 401
    assert here.ask("GET", "me").status_code == 200


def test_logging_out_everywhere_ends_every_session(people: Front) -> None:
    new_user(people, "ada")
    browsers = [logged_in(people, "ada") for _ in range(3)]

    assert browsers[0].ask("DELETE", "sessions").status_code == 204

    assert [each.ask("GET", "me").status_code for each in browsers] == [401] * 3
    assert logged_in(people, "ada").me()["username"] == "ada"


def test_deactivating_a_user_ends_its_sessions_at_once_and_for_good(people: Front) -> None:
    user = new_user(people, "ada")
    browser = logged_in(people, "ada")

    people.ask("PATCH", f"users/{user['id']}", {"active": False})

    assert browser.ask("GET", "me").status_code == 401
    people.ask("PATCH", f"users/{user['id']}", {"active": True})
    assert browser.ask("GET", "me").status_code == 401


def test_a_deleted_user_is_out(people: Front) -> None:
    user = new_user(people, "ada")
    browser = logged_in(people, "ada")

    assert people.ask("DELETE", f"users/{user['id']}").status_code == 204

    assert browser.ask("GET", "me").status_code == 401


def test_another_role_works_at_the_next_request_and_under_a_new_id(people: Front) -> None:
    user = new_user(people, "ada", "operator")
    browser = logged_in(people, "ada")
    before = browser.cookie
    assert before is not None

    people.ask("PATCH", f"users/{user['id']}", {"role": "auditor"})

    assert browser.me()["role"] == "auditor"
    assert browser.cookie != before
    assert browser.me()["role"] == "auditor"
    browser.client.set_cookie("__Host-orderledger", before, domain="ledger.test", secure=True)
    assert browser.ask("GET", "me").status_code == 401


def test_a_change_of_the_roles_permissions_works_at_the_next_request(people: Front) -> None:
    role = people.create("roles", name="clerk", permissions=["levels.read"])
    new_user(people, "ada", "clerk")
    browser = logged_in(people, "ada")
    assert browser.ask("GET", "levels").status_code == 200

    people.ask("PATCH", f"roles/{role['id']}", {"permissions": []})

    assert browser.ask("GET", "levels").status_code == 403


def test_a_new_password_ends_all_other_sessions_and_the_old_password(people: Front) -> None:
    new_user(people, "ada")
    here, there = logged_in(people, "ada"), logged_in(people, "ada")
    before = here.cookie

    wrong = here.ask("POST", "me/password", {"password": "not mine at all", "new_password": "another fine phrase"})
    common = here.ask("POST", "me/password", {"password": PASSWORD, "new_password": "password123"})
    right = here.ask("POST", "me/password", {"password": PASSWORD, "new_password": "another fine phrase"})

    assert (wrong.status_code, wrong.json["code"]) == (403, "wrong-password")
    assert (common.status_code, common.json["errors"][0]["pointer"]) == (422, "/new_password")
    assert right.status_code == 200
    assert here.cookie != before
    assert here.ask("GET", "me").status_code == 200
    assert there.ask("GET", "me").status_code == 401
    assert Browser(people.app).log_in("ada").status_code == 401
    assert Browser(people.app).log_in("ada", "another fine phrase").status_code == 201


def test_an_administrator_resets_a_password_and_the_user_is_logged_out(people: Front) -> None:
    user = new_user(people, "ada")
    browser = logged_in(people, "ada")

    answer = people.ask("POST", f"users/{user['id']}/password", {})

    assert browser.ask("GET", "me").status_code == 401
    assert Browser(people.app).log_in("ada", answer.json["password"]).status_code == 201


def test_a_command_of_a_session_is_recorded_under_its_user(people: Front) -> None:
    user = new_user(people, "ada", "operator")
    customer = people.create("customers")
    browser = logged_in(people, "ada")

    path = f"customers/{customer['id']}/recharges"
    answer = browser.ask("POST", path, {"amount": "5.00"}, Idempotency_Key="k1")
    again = browser.ask("POST", path, {"amount": "5.00"}, Idempotency_Key="k1")

    assert (answer.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    events = people.list("events", customer_id=customer["id"])
    assert events[-1]["actor"] == f"user:{user['id']}"


def test_a_customers_login_sees_that_customer_only(people: Front) -> None:
    mine, other = people.create("customers"), people.create("customers", name="李伟")
    new_user(people, "wang", "customer", customer_id=mine["id"])
    browser = logged_in(people, "wang")

    assert browser.me()["customer_id"] == mine["id"]
    assert browser.ask("GET", f"customers/{mine['id']}/balance").status_code == 200
    assert browser.ask("GET", f"customers/{other['id']}/balance").status_code == 404
    assert browser.ask("GET", "users").status_code == 403
    second = people.ask(
        "POST", "users", {"username": "wang2", "role": "customer", "password": PASSWORD, "customer_id": mine["id"]}
    )
    assert (second.status_code, second.json["field"]) == (409, "customer_id")


def test_a_deactivated_customers_login_is_closed(people: Front) -> None:
    customer = people.create("customers")
    new_user(people, "wang", "customer", customer_id=customer["id"])
    browser = logged_in(people, "wang")
    people.ask("POST", f"customers/{customer['id']}/recharges", {"amount": "1.00"}, Idempotency_Key="k1")
    people.ask("POST", f"customers/{customer['id']}/deductions", {"amount": "1.00"}, Idempotency_Key="k2")

    assert people.ask("DELETE", f"customers/{customer['id']}").status_code == 200

    assert browser.ask("GET", "me").status_code == 401
    assert Browser(people.app).log_in("wang").status_code == 401


def test_sessions_survive_a_restart(open_people: Any) -> None:
    for store in ("redis", "database", "file"):
        front = open_people(session_store=store)
        new_user(front, f"ada-{store}")
        browser = logged_in(front, f"ada-{store}")

        browser.client.application = open_people(session_store=store).app

        assert browser.me()["username"] == f"ada-{store}"


def test_a_key_has_no_session_to_end_but_is_told_who_it_is(front: Front) -> None:
    assert front.ask("GET", "me").json["role"] == "admin"
    for method, path in (("DELETE", "session"), ("GET", "sessions"), ("DELETE", "sessions"), ("PATCH", "me")):
        answer = front.ask(method, path, {"locale": "en"} if method == "PATCH" else None)
        assert (answer.status_code, answer.json["code"]) == (403, "session-needed"), path


def test_with_a_key_and_a_cookie_it_is_the_keys_request(front: Front) -> None:
    new_user(front, "ada", "auditor")
    browser = logged_in(front, "ada")

    answer = browser.ask("GET", "me", Authorization=f"Bearer {front.secret}")

    assert answer.json["role"] == "admin"


def test_wrong_passwords_are_counted_before_they_are_looked_at(front: Front) -> None:
    new_user(front, "ada")

    def guess(number: int) -> int:
        return Browser(front.app).log_in("ada", f"guess number {number}").status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(guess, range(30)))

    assert sorted(statuses) == [401] * 10 + [429] * 20
    refused = Browser(front.app).log_in("ada")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
    assert Browser(front.app, address="198.51.100.9").log_in("ada").status_code == 201


def test_whoever_is_refused_locks_nobody_else_out(front: Front) -> None:
    new_user(front, "ada")

    statuses = [Browser(front.app).log_in("ada", "mistyped for ever").status_code for _ in range(300)]

    assert statuses == [401] * 10 + [429] * 290
    assert Browser(front.app, address="198.51.100.9").log_in("ada").status_code == 201
    assert Browser(front.app).log_in("bob").status_code == 401


def test_logging_in_forgets_the_tries_before(front: Front) -> None:
    new_user(front, "ada")
    for _ in range(3):
        for _ in range(9):
            Browser(front.app).log_in("ada", "mistyped once more")
        assert Browser(front.app).log_in("ada").status_code == 201


def test_with_the_store_gone_nobody_is_let_in(sqlite_ledger_url: str, open_people: Any) -> None:
    front = open_people()
    new_user(front, "ada")
    broken = open_people(redis_url="redis://127.0.0.1:1/0")

    answer = Browser(broken.app).log_in("ada")

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"username": "ada"}, 422),
        ({"username": "ada", "password": PASSWORD, "code": "1"}, 422),
        ({"username": "ada", "code": "123456"}, 422),
        ({"username": 1, "password": PASSWORD}, 422),
        ({"username": "", "password": PASSWORD}, 422),
        ({"username": "ada", "password": "x" * 257}, 422),
        ({"username": "ada\x00", "password": PASSWORD}, 401),
        ({"username": "\ud800", "password": "\udfff..."}, 422),
        ([], 422),
    ],
)
def test_bad_logins_are_told_so(front: Front, body: Any, status: int) -> None:
    answer = Browser(front.app).ask("POST", "session", body)

    assert answer.status_code == status, answer.text
    assert "Set-Cookie" not in answer.headers
