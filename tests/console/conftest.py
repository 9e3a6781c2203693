"""The whole service in real processes, and Debian's Chromium in front of it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from browser import PASSWORD
from ledger.proofs.notes import SigningKey, VerifierKey
from ledger.proofs.signer import read_keys, write_key
from running_service import Client, Service, running
from servers import PrivateRedis

WAIT_MS = 15_000
LOOK_MS, SETTLED_LOOKS = 30, 3


@dataclass(slots=True)
class Console:
    """A running service with an administrator's API key, what it wrote, and the users that tests made."""

    service: Service
    admin: Client
    log: Path
    verifier: VerifierKey
    users: set[str] = field(default_factory=set)

    def login_code(self, mobile: str) -> str:
        """Return the last login code of a number, as the service printed it."""
        codes: list[str] = []

        def has_come() -> bool:
            codes[:] = re.findall(rf"login code of {re.escape(mobile)} is ([0-9]{{6}})", self.log.read_text())
            return bool(codes)

        self.service.wait_until(has_come)
        return codes[-1]

    def user(self, username: str, role: str, **more: object) -> None:
        """Make a user with PASSWORD unless it is there."""
        if username not in self.users:
            content = {"username": username, "role": role, "password": PASSWORD, **more}
            answer = self.admin.post("/v1/users", content)
            assert answer.status == 201, answer.body
            self.users.add(username)


@pytest.fixture(scope="session")
def redis_of_console() -> Iterator[PrivateRedis]:
    """A Redis of its own: that of the other tests is emptied again and again."""
    with PrivateRedis() as server:
        yield server


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory, redis_of_console: PrivateRedis) -> Iterator[Console]:
    """A service on SQLite and Redis."""
    folder = tmp_path_factory.mktemp("console")
    write_key(folder / "signing-key", SigningKey.make("ledger.test/v1/log"))
    environment = {
        "ORDERLEDGER_DATABASE_URL": f"sqlite:///{folder / 'ledger.sqlite'}",
        "ORDERLEDGER_REDIS_URL": redis_of_console.url(),
        "ORDERLEDGER_SESSION_COOKIE_SECURE": "false",
        "ORDERLEDGER_SECRET_KEY": "of the browser tests",
        "ORDERLEDGER_SMS_PROVIDER": "console",
        "ORDERLEDGER_DATA": str(folder),
        "ORDERLEDGER_SEAL_INTERVAL_S": "0.5",
        "ORDERLEDGER_WEBHOOKS_ALLOW_PRIVATE": "true",
        "ORDERLEDGER_WEBHOOKS_BACKOFF_S": "0.2",
        "ORDERLEDGER_WEBHOOKS_BACKOFF_MAX_S": "0.5",
    }
    log = folder / "log"
    with running(environment, log=log) as service:
        made = Console(service, service.client(), log, read_keys(folder / "signing-key")[0].verifier)
        for role in ("admin", "operator", "auditor"):
            made.user(role, role)
        yield made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(slots=True)
class Window:
    """A person's browser window; what its pages complained of is in `complaints`."""

    page: Page
    context: BrowserContext
    address: str
    complaints: list[str] = field(default_factory=list)
    under_way: set[Request] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.under_way.add(request))
        self.page.on("requestfinished", lambda request: self.under_way.discard(request))
        self.page.on("requestfailed", lambda request: self.under_way.discard(request))

    def settle(self) -> None:
        """Wait until the page has nothing to do and has asked for nothing in a while: `networkidle` waits half a second."""
        ends_at_s = time.monotonic() + WAIT_MS / 1_000
        looks = 0
        while looks < SETTLED_LOOKS:
            assert time.monotonic() < ends_at_s, [each.url for each in self.under_way]
            self.page.evaluate("new Promise(done => requestIdleCallback(done, {timeout: 2000}))")
            self.page.wait_for_timeout(LOOK_MS)
            looks = 0 if self.under_way else looks + 1

    def go(self, path: str) -> Page:
        """Open a page and wait until it has asked all it wants."""
        self.page.goto(self.address + path)
        self.settle()
        return self.page

    def log_in(self, username: str, password: str = PASSWORD) -> Page:
        """Log in by password."""
        page = self.go("/login")
        page.fill("#by-password [name=username]", username)
        page.fill("#by-password [name=password]", password)
        page.click("#by-password [type=submit]")
        page.wait_for_selector("[data-log-out]")
        self.settle()
        return page


@pytest.fixture
def window(console: Console, chromium: Browser) -> Iterator[Callable[..., Window]]:
    """Opens windows, each with cookies of its own; at the end no page may have complained."""
    opened: list[Window] = []

    def open_window(
        *, language: str = "en", is_dark: bool = False, agent: str | None = None, time_zone: str | None = None
    ) -> Window:
        context = chromium.new_context(
            locale="zh-CN" if language == "zh" else "en-GB",
            viewport={"width": 1_280, "height": 900},
            color_scheme="dark" if is_dark else "light",
            user_agent=agent,
            timezone_id=time_zone,
        )
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        made = Window(page, context, console.service.address)

        def note(message: ConsoleMessage) -> None:
            # The browser notes every answer of 400 and above; what matters of these the tests look at.
            if message.type == "error" and "Failed to load resource" not in message.text:
                made.complaints.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: made.complaints.append(str(error)))
        opened.append(made)
        return made

    yield open_window
    complaints = [each for made in opened for each in made.complaints]
    for made in opened:
        made.context.close()
    assert complaints == []
