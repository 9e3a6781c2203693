"""The settings of sessions and of their cookie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.errors import BadSetting
from ledger.settings import PREFIX, boolean, integer, one_of, read_settings, setting, text

REDIS, DATABASE, FILE = "redis", "database", "file"
HOST_PREFIX = "__Host-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Where sessions live, how long, and what their cookie is like."""

    session_store: str = setting(
        "SESSION_STORE", one_of(REDIS, DATABASE, FILE), REDIS, "where sessions live: redis, database or file"
    )
    session_file_path: str = setting(
        "SESSION_FILE_PATH", text, "", "folder of sessions in files; empty: `sessions` in the data directory"
    )
    session_idle_s: int = setting(
        "SESSION_IDLE_S", integer(60, 30 * 86_400), 7_200, "how long a session lives without a request, in seconds"
    )
    session_cookie_age_s: int = setting(
        "SESSION_COOKIE_AGE_S", integer(60, 365 * 86_400), 43_200, "how long a session and its cookie live, in seconds"
    )
    session_expire_at_browser_close: bool = setting(
        "SESSION_EXPIRE_AT_BROWSER_CLOSE", boolean, False, "may the browser forget the cookie when it is closed"
    )
    session_refresh_each_request: bool = setting(
        "SESSION_REFRESH_EACH_REQUEST", boolean, False, "does each request let the session live for its age again"
    )
    session_cookie_name: str = setting(
        "SESSION_COOKIE_NAME",
        text,
        "",
        "the cookie's name; empty: `__Host-orderledger` when it is secure, for the whole host and path, else `orderledger`",
    )
    session_cookie_path: str = setting("SESSION_COOKIE_PATH", text, "/", "path for which the browser sends the cookie")
    session_cookie_domain: str = setting(
        "SESSION_COOKIE_DOMAIN", text, "", "domain for which the browser sends the cookie; empty: this host alone"
    )
    session_cookie_secure: bool = setting(
        "SESSION_COOKIE_SECURE",
        boolean,
        True,
        "is the cookie sent over HTTPS only; `up` on a loopback address sets it to false",
    )
    session_cookie_httponly: bool = setting(
        "SESSION_COOKIE_HTTPONLY", boolean, True, "is the cookie kept from the page's scripts"
    )
    session_cookie_samesite: str = setting(
        "SESSION_COOKIE_SAMESITE",
        one_of("Lax", "Strict", "None"),
        "Lax",
        "may other sites' links and forms bring the cookie along: Lax, Strict or None",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SessionSettings:
        """Read the settings from environment variables. Raises BadSetting."""
        found = read_settings(cls, environment)
        if found.session_cookie_samesite == "None" and not found.session_cookie_secure:
            raise BadSetting(
                variable=f"{PREFIX}SESSION_COOKIE_SAMESITE", problem="None needs a secure cookie: browsers drop others"
            )
        if found.cookie_name.startswith(HOST_PREFIX) and not found.is_host_bound:
            raise BadSetting(
                variable=f"{PREFIX}SESSION_COOKIE_NAME",
                problem=f"{HOST_PREFIX} needs a secure cookie with the path / and no domain",
            )
        return found

    @property
    def is_host_bound(self) -> bool:
        """Whether the cookie may bear the prefix that binds it to this host."""
        return self.session_cookie_secure and self.session_cookie_path == "/" and not self.session_cookie_domain

    @property
    def cookie_name(self) -> str:
        """The cookie's name."""
        if self.session_cookie_name:
            return self.session_cookie_name
        return f"{HOST_PREFIX}orderledger" if self.is_host_bound else "orderledger"
