"""The session's cookie, as the settings want it."""

from __future__ import annotations

from werkzeug.http import dump_cookie

from api.sessions.settings import SessionSettings


def cookie(settings: SessionSettings, token: str) -> str:
    """Return the header's value that gives a browser its session."""
    return _dumped(settings, token, None if settings.session_expire_at_browser_close else settings.session_cookie_age_s)


def no_cookie(settings: SessionSettings) -> str:
    """Return the header's value that takes the session away."""
    return _dumped(settings, "", 0)


def _dumped(settings: SessionSettings, value: str, max_age_s: int | None) -> str:
    return dump_cookie(
        settings.cookie_name,
        value,
        max_age=max_age_s,
        path=settings.session_cookie_path,
        domain=settings.session_cookie_domain or None,
        secure=settings.session_cookie_secure,
        httponly=settings.session_cookie_httponly,
        samesite=settings.session_cookie_samesite,
    )
