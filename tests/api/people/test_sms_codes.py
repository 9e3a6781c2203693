"""Login codes: one minute, one use, five tries counted before they are compared, and nothing told of unknown numbers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from api.services import Services
from browser import PASSWORD, Browser, new_user
from directory_front import Front
from ledger.clock import now_us
from ledger.errors import BadSetting

MOBILE, OTHER_MOBILE = "+8613800138000", "+8613900139000"


class Gateway:
    """A provider of messages: takes posts as `http` sends them, or fails as told."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.came = threading.Semaphore(0)
        self.status = 200
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.posts.append((body, dict(self.headers)))
                self.send_response(gateway.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                gateway.came.release()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/send"

    def code(self) -> str:
        assert self.came.acquire(timeout=10), "no message came"
        code: str = self.posts[-1][0]["code"]
        return code

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    opened = Gateway()
    yield opened
    opened.close()


@pytest.fixture
def front(open_people: Any, gateway: Gateway) -> Front:
    opened: Front = open_people(sms_provider="http", sms_url=gateway.url, sms_token="t0ken")
    new_user(opened, "ada", "operator", mobile=MOBILE)
    return opened


def asked(front: Front, mobile: str = MOBILE, address: str = "192.0.2.1") -> Any:
    return Browser(front.app, address=address).ask("POST", "sms-codes", {"mobile": mobile})


def test_a_user_logs_in_by_a_code_once(front: Front, gateway: Gateway) -> None:
    assert asked(front, "138 0013 8000").status_code == 202
    code = gateway.code()
    browser, again = Browser(front.app), Browser(front.app)

    answer = browser.ask("POST", "session", {"mobile": MOBILE, "code": code})

    assert answer.status_code == 201
    assert browser.me()["username"] == "ada"
    assert len(code) == 6 and code.isdigit()
    assert again.ask("POST", "session", {"mobile": MOBILE, "code": code}).status_code == 401


def test_the_provider_is_asked_as_set_up(front: Front, gateway: Gateway, open_people: Any) -> None:
    asked(front)
    gateway.code()
    own = '{"to": ["$mobile"], "text": "您的验证码是 $code，$valid_s 秒内有效", "kind": 3}'
    other = open_people(sms_provider="http", sms_url=gateway.url, sms_body=own)
    asked(other)
    assert gateway.came.acquire(timeout=10)

    (first, headers), (second, bare) = gateway.posts
    assert (first["mobile"], first["valid_s"]) == (MOBILE, "60")
    assert headers["Authorization"] == "Bearer t0ken" and "Authorization" not in bare
    assert second["to"] == [MOBILE] and second["kind"] == 3
    assert second["text"].startswith("您的验证码是 ") and second["text"].endswith("60 秒内有效")


def test_an_unknown_number_is_answered_alike_and_sent_nothing(front: Front, gateway: Gateway) -> None:
    known, unknown = asked(front), asked(front, "+8613900139000")

    assert (known.status_code, known.json) == (unknown.status_code, unknown.json)
    gateway.code()
    assert [body["mobile"] for body, _ in gateway.posts] == [MOBILE]
    guesses = [
        Browser(front.app).ask("POST", "session", {"mobile": "+8613900139000", "code": code}).status_code
        for code in ("000000", "123456")
    ]
    assert guesses == [401, 401]


def test_of_a_hundred_guesses_at_once_exactly_five_are_compared(front: Front, gateway: Gateway) -> None:
    asked(front)
    right = gateway.code()
    codes = front.services.codes
    guesses = [f"{(int(right) + step) % 1_000_000:06}" for step in range(1, 101)]

    with ThreadPoolExecutor(100) as pool:
        compared = list(pool.map(lambda guess: codes.compared(MOBILE, guess), guesses))

    assert (compared.count(False), compared.count(None)) == (5, 95)
    assert codes.compared(MOBILE, right) is None


def test_of_many_right_guesses_at_once_one_is_let_in(front: Front, gateway: Gateway) -> None:
    asked(front)
    right = gateway.code()

    with ThreadPoolExecutor(50) as pool:
        let_in = list(pool.map(lambda _: front.services.codes.is_right(MOBILE, right), range(50)))

    assert sum(let_in) == 1


@pytest.mark.parametrize("wrong_first", [0, 4, 5])
def test_the_fifth_try_is_the_last(front: Front, gateway: Gateway, wrong_first: int) -> None:
    asked(front)
    right = gateway.code()
    wrong = f"{(int(right) + 1) % 1_000_000:06}"

    for _ in range(wrong_first):
        assert Browser(front.app).ask("POST", "session", {"mobile": MOBILE, "code": wrong}).status_code == 401

    answer = Browser(front.app).ask("POST", "session", {"mobile": MOBILE, "code": right})
    assert answer.status_code == (201 if wrong_first < 5 else 401)


def test_a_code_is_good_for_a_minute_and_kept_as_a_hash(front: Front, gateway: Gateway) -> None:
    asked(front)
    code = gateway.code()
    client, key = front.services.redis, front.services.codes._key(MOBILE)

    assert 0 < client.ttl(key) <= 60
    assert code.encode() not in client.hget(key, "digest")
    assert MOBILE not in key and MOBILE[1:] not in key
    client.expire(key, 0)
    assert Browser(front.app).ask("POST", "session", {"mobile": MOBILE, "code": code}).status_code == 401


def test_a_new_code_ends_the_one_before(front: Front, gateway: Gateway) -> None:
    asked(front)
    first = gateway.code()
    asked(front)
    second = gateway.code()

    if first != second:
        assert front.services.codes.is_right(MOBILE, first) is False
    assert front.services.codes.is_right(MOBILE, second) is True


def test_a_number_is_sent_so_many_codes_and_no_more(open_people: Any, gateway: Gateway) -> None:
    front = open_people(sms_provider="http", sms_url=gateway.url, sms_codes_per_number_hour_max=3)

    statuses = [asked(front, address=f"192.0.2.{n}").status_code for n in range(5)]

    assert statuses == [202, 202, 202, 429, 429]
    assert asked(front, "+8613900139000").status_code == 202


def test_an_address_asks_for_so_many_codes_and_no_more(open_people: Any, gateway: Gateway) -> None:
    front = open_people(sms_provider="http", sms_url=gateway.url, sms_codes_per_address_hour_max=3)

    statuses = [asked(front, f"+861390013900{n}").status_code for n in range(5)]

    assert statuses == [202, 202, 202, 429, 429]
    assert asked(front, "+8613900139009", address="198.51.100.1").status_code == 202


def test_so_many_codes_are_sent_in_a_day(open_people: Any, gateway: Gateway) -> None:
    front = open_people(sms_provider="http", sms_url=gateway.url, sms_codes_per_day_max=2)

    statuses = [asked(front, f"+861390013900{n}", address=f"192.0.2.{n}").status_code for n in range(4)]

    assert statuses == [202, 202, 429, 429]


def test_an_address_that_is_refused_uses_up_nobody_elses_codes(open_people: Any, gateway: Gateway) -> None:
    limits = {"sms_codes_per_address_hour_max": 2, "sms_codes_per_day_max": 5}
    front = open_people(sms_provider="http", sms_url=gateway.url, **limits)

    statuses = [asked(front, MOBILE).status_code for _ in range(20)]

    assert statuses == [202] * 2 + [429] * 18
    assert asked(front, MOBILE, address="198.51.100.1").status_code == 202
    assert asked(front, OTHER_MOBILE, address="198.51.100.2").status_code == 202


@pytest.mark.parametrize("status", [302, 400, 500])
def test_a_provider_that_fails_changes_no_answer(
    front: Front, gateway: Gateway, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.status = status

    assert asked(front).status_code == 202

    code = gateway.code()
    front.services.codes.close()
    said = "".join(capsys.readouterr())
    assert "was not sent" in said
    assert code not in said and MOBILE not in said
    assert len(gateway.posts) == 1


@pytest.mark.parametrize("mobile", ["", "12", "call me", "+999123456", 5, None, "1" * 300])
def test_what_is_no_number_is_told_so(front: Front, mobile: Any) -> None:
    answer = asked(front, mobile)

    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/mobile")


def test_without_a_provider_codes_are_off(open_people: Any) -> None:
    answer = asked(open_people())

    assert (answer.status_code, answer.json["code"]) == (501, "sms-off")


def test_without_redis_codes_let_nobody_in(open_people: Any, gateway: Gateway) -> None:
    open_people()
    front = open_people(
        sms_provider="http", sms_url=gateway.url, redis_url="redis://127.0.0.1:1/0", session_store="database"
    )

    assert asked(front).status_code == 503
    answer = Browser(front.app).ask("POST", "session", {"mobile": MOBILE, "code": "123456"})
    assert answer.status_code == 503


def test_the_console_prints_the_code(open_people: Any, capfd: pytest.CaptureFixture[str]) -> None:
    front = open_people(sms_provider="console")
    new_user(front, "ada", "operator", mobile=MOBILE)

    asked(front)
    front.services.codes.close()

    said = capfd.readouterr().err
    code = said.split(f"{MOBILE} is ")[1][:6]
    assert Browser(front.app).ask("POST", "session", {"mobile": MOBILE, "code": code}).status_code == 201


@pytest.mark.parametrize(
    "settings",
    [
        {"SMS_PROVIDER": "http"},
        {"SMS_PROVIDER": "http", "SMS_URL": "ftp://x"},
        {"SMS_PROVIDER": "http", "SMS_URL": "http://x", "SMS_BODY": "not json"},
        {"SMS_PROVIDER": "http", "SMS_URL": "http://x", "SMS_BODY": '{"a": "$nothing"}'},
        {"SMS_PROVIDER": "pigeon"},
        {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": "false"},
        {"SESSION_COOKIE_NAME": "__Host-x", "SESSION_COOKIE_PATH": "/a"},
        {"SESSION_STORE": "cookie"},
        {"PHONE_REGION": "China"},
    ],
)
def test_settings_that_cannot_work_are_refused_at_start(sqlite_ledger_url: str, settings: dict[str, str]) -> None:
    environment = {f"ORDERLEDGER_{name}": value for name, value in settings.items()}

    with pytest.raises(BadSetting):
        Services({"ORDERLEDGER_DATABASE_URL": sqlite_ledger_url, "ORDERLEDGER_REDIS_URL": "redis://x/0", **environment})


def logged_in_by_code(front: Front, gateway: Gateway) -> Browser:
    browser = Browser(front.app)
    assert asked(front, OTHER_MOBILE).status_code == 202
    answer = browser.ask("POST", "session", {"mobile": OTHER_MOBILE, "code": gateway.code()})
    assert answer.status_code == 201, answer.text
    browser.csrf = answer.json["csrf_token"]
    return browser


def test_who_logged_in_by_a_code_just_now_sets_a_first_password(front: Front, gateway: Gateway) -> None:
    front.ask("POST", "users", {"username": "kim", "role": "operator", "mobile": OTHER_MOBILE})
    browser = logged_in_by_code(front, gateway)
    assert browser.me()["has_password"] is False
    weak = browser.ask("POST", "me/password", {"new_password": "password"})

    answer = browser.ask("POST", "me/password", {"new_password": "a fine new phrase"})

    assert (weak.status_code, answer.status_code, answer.json["has_password"]) == (422, 200, True)
    assert Browser(front.app).log_in("kim", "a fine new phrase").status_code == 201
    # From now on it is asked for.
    assert browser.ask("POST", "me/password", {"new_password": "another fine phrase"}).status_code == 403


def test_an_old_session_sets_no_first_password(front: Front, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    front.ask("POST", "users", {"username": "kim", "role": "operator", "mobile": OTHER_MOBILE})
    browser = logged_in_by_code(front, gateway)
    monkeypatch.setattr("api.login.now_us", lambda: now_us() + 601_000_000)

    answer = browser.ask("POST", "me/password", {"new_password": "a fine new phrase"})

    assert (answer.status_code, answer.json["code"]) == (403, "login-too-old")
    assert browser.me()["has_password"] is False


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.66, 203.0.113.9", "203.0.113.9"),
        (2, "203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (1, "", "192.0.2.1"),
    ],
)
def test_behind_proxies_an_address_is_what_the_last_trusted_one_says(
    open_people: Any, gateway: Gateway, proxies: int, forwarded: str, counted: str
) -> None:
    front = open_people(trusted_proxies=proxies)
    new_user(front, "ada")
    browser = Browser(front.app)

    answer = browser.ask("POST", "session", {"username": "ada", "password": PASSWORD}, X_Forwarded_For=forwarded)

    assert answer.status_code == 201
    browser.csrf = answer.json["csrf_token"]
    (session,) = browser.ask("GET", "sessions").json["data"]
    assert session["address"] == counted
