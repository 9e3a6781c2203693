"""Pages without a browser: who may open which, where a stranger is sent, headers, words."""

from __future__ import annotations

import re

import pytest

from api.application import AREAS
from api.console.pages import safe_path
from api.console.words import CHINESE, words
from api.routing import PUBLIC, Route
from browser import Browser, logged_in, new_user
from console_words import menu_words, texts
from directory_front import Front, open_front

PLACES = {"<token:id>": "x1", "<position:position>": "1", "<token:language>": "xx"}
PAGES = [route for area in AREAS for route in area.routes if route.view.__name__.startswith("page_")]
OPEN_REDIRECTS = [
    "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
    "/\tevil", "http:evil.example", "///evil.example", " /x", "/x\r\nSet-Cookie: a=b", "data:text/html,x", "evil.example",
    "/x\\y", "",
]  # fmt: skip


@pytest.fixture
def front(sqlite_ledger_url: str, redis_url: str) -> Front:
    return open_front(sqlite_ledger_url, redis_url)


def path_of(route: Route) -> str:
    path = route.path
    for place, value in PLACES.items():
        path = path.replace(place, value)
    return path


def opened(browser: Browser, path: str, **headers: str) -> tuple[int, str, str]:
    answer = browser.client.get(path, base_url="https://ledger.test", headers=headers)
    return answer.status_code, answer.headers.get("Location", ""), answer.text


def test_a_stranger_is_sent_to_the_login_and_back(front: Front) -> None:
    stranger = Browser(front.app)

    assert opened(stranger, "/orders?q=a%20b") == (303, "/login?next=/orders%3Fq%3Da%2520b", "")
    assert opened(stranger, "/")[:2] == (303, "/login")
    assert opened(stranger, "/login")[0] == 200


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("role", ["admin", "operator", "auditor"])
def test_every_page_opens_for_whom_its_permission_says(front: Front, role: str, language: str) -> None:
    new_user(front, "ada", role, locale=language)
    browser = logged_in(front, "ada")
    may = set(browser.me()["permissions"])

    for route in PAGES:
        path = path_of(route)
        status = opened(browser, path)[0]
        wanted = 404 if "language" in path else 200 if route.permission in may | {"logged-in", PUBLIC} else 403
        assert status == wanted, path


def test_every_page_and_file_forbids_what_is_not_its_own(front: Front) -> None:
    new_user(front, "ada", "admin")
    browser = logged_in(front, "ada")

    for path in ["/", "/login", "/customers", "/nowhere", "/console/list.js", "/console/bootstrap.min.css"]:
        answer = browser.client.get(path, base_url="https://ledger.test", headers={"Accept": "text/html"})
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["X-Frame-Options"] == "DENY", path


def test_no_page_has_a_script_or_style_of_its_own(front: Front) -> None:
    new_user(front, "ada", "admin")
    browser = logged_in(front, "ada")

    for route in PAGES:
        if "language" not in route.path:
            text = opened(browser, path_of(route))[2]
            assert re.findall(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", text) == [], route.path


@pytest.mark.parametrize("text", OPEN_REDIRECTS)
def test_nobody_is_sent_to_another_site(text: str) -> None:
    assert safe_path(text) == "/"


def test_choosing_a_language_leads_back_to_where_one_was_and_nowhere_else(front: Front) -> None:
    browser = Browser(front.app)

    assert opened(browser, "/language/zh", Referer="https://ledger.test/login?next=/x")[1] == "/login?next=/x"
    assert opened(browser, "/language/zh", Referer="https://evil.example/login")[1] == "/"
    assert opened(browser, "/language/zh", Referer="https://ledger.test//evil.example")[1] == "/"
    assert 'lang="zh-CN"' in opened(browser, "/login")[2]


@pytest.mark.parametrize(
    ("headers", "language"),
    [({}, "en"), ({"Accept-Language": "zh-TW,zh;q=0.9"}, "zh-CN"), ({"Accept-Language": "fr"}, "en")],
)
def test_the_browsers_language_is_taken_until_one_is_chosen(
    front: Front, headers: dict[str, str], language: str
) -> None:
    assert f'lang="{language}"' in opened(Browser(front.app), "/login", **headers)[2]


def test_a_users_own_language_counts(front: Front) -> None:
    new_user(front, "wang", "admin", locale="zh")

    assert 'lang="zh-CN"' in opened(logged_in(front, "wang"), "/")[2]


@pytest.mark.parametrize(
    "name",
    [
        "../pages.py",
        "..%2fpages.py",
        "pages.py",
        "words.py",
        "none.js",
        "words-xx",
        "words-xx.json",
        "words-zh",
        "login.html",
    ],
)
def test_only_the_consoles_own_files_are_handed_out(front: Front, name: str) -> None:
    assert opened(Browser(front.app), f"/console/{name}")[0] == 404


def test_a_file_that_the_browser_has_is_not_sent_again(front: Front) -> None:
    client = front.app.test_client()
    first = client.get("/console/list.js")

    again = client.get("/console/list.js", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")


def test_every_text_of_the_console_is_translated_and_no_translation_is_left_over() -> None:
    chinese = words(CHINESE)

    assert texts() - chinese.keys() == set()
    assert chinese.keys() - texts() == set()
    assert all(text.strip() for text in chinese.values())
    assert all(menu_words().values())


def test_translations_keep_their_places() -> None:
    for english, chinese in words(CHINESE).items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), english
