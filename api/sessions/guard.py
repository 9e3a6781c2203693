"""Requests that a session's cookie comes with: is it alive, and is it the page's own script that asks.

A browser sends the cookie along with whatever another site makes it send. So whatever changes something must come with
the session's token, which another site cannot read, and not from another site as far as the browser says.
"""

from __future__ import annotations

import secrets

from flask import Request, g
from werkzeug.datastructures import Headers

from api.errors import CrossSite, CsrfTokenWrong, Unauthenticated
from api.sessions.sessions import Sessions
from api.sessions.settings import SessionSettings
from ledger.directory.access import Principal

TOKEN_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})


class SessionGuard:
    """Finds the principal of a request's session; a session that it finds is `flask.g.session`."""

    def __init__(self, sessions: Sessions, settings: SessionSettings) -> None:
        self._sessions = sessions
        self._name = settings.cookie_name

    def __call__(self, request: Request) -> Principal | None:
        """Return the principal, None without a cookie. Raises Unauthenticated, CsrfTokenWrong, CrossSite."""
        token = request.cookies.get(self._name)
        if not token:
            return None
        current = self._sessions.find(token)
        if current is None:
            raise Unauthenticated()
        g.session = current
        if request.method not in _SAFE:
            ensure_same_site(request.headers)
            given = request.headers.get(TOKEN_HEADER, "")
            if not secrets.compare_digest(given.encode("utf-8", "replace"), current.record.csrf.encode("ascii")):
                raise CsrfTokenWrong()
        return current.person.principal


def ensure_same_site(headers: Headers) -> None:
    """Raise CrossSite when the browser says that another site makes it ask."""
    if headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
        raise CrossSite()
