"""A person's browser in front of the API: it keeps its cookie, and sends the session's token along."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from directory_front import Front

PASSWORD = "correct horse battery"


@dataclass(slots=True)
class Browser:
    """A client that logs in."""

    app: Flask
    csrf: str = ""
    address: str = "192.0.2.1"
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        sent = {"X-CSRF-Token": self.csrf} if self.csrf else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.client.open(
            f"/v1/{path}",
            method=method,
            json=body,
            headers=sent,
            base_url="https://ledger.test",
            environ_overrides={"REMOTE_ADDR": self.address},
        )
        assert answer.status_code in (501, 503) or answer.status_code < 500, answer.text
        return answer

    def log_in(self, username: str, password: str = PASSWORD) -> TestResponse:
        answer = self.ask("POST", "session", {"username": username, "password": password})
        if answer.status_code == 201:
            self.csrf = answer.json["csrf_token"]
        return answer

    def me(self) -> dict[str, Any]:
        answer = self.ask("GET", "me")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    @property
    def cookie(self) -> str | None:
        found = self.client.get_cookie("__Host-orderledger", domain="ledger.test")
        return None if found is None else found.value


def new_user(front: Front, username: str, role: str = "operator", **more: Any) -> dict[str, Any]:
    """Create a user with PASSWORD and return it."""
    answer = front.ask("POST", "users", {"username": username, "role": role, "password": PASSWORD, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def logged_in(front: Front, username: str, **more: Any) -> Browser:
    """Return a browser in which the user has logged in."""
    browser = Browser(front.app, **more)
    answer = browser.log_in(username)
    assert answer.status_code == 201, answer.text
    return browser
