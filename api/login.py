"""Logging in and out, who one is, and one's own sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import structlog
from flask import g, request

from api.errors import (
    FieldError,
    InvalidFields,
    LoginFailed,
    LoginTooOld,
    SessionNeeded,
    Unauthenticated,
    WrongPassword,
)
from api.figures import LOGINS_FAILED
from api.limits import Limit
from api.login_schemas import CodeAnswer, CodeBody, LoginBody, MeAnswer, MeChanges, PasswordBody, SessionsAnswer
from api.routing import LOGGED_IN, PUBLIC, Answer, Call, Routes
from api.services import Services
from api.sessions.cookies import cookie, no_cookie
from api.sessions.guard import ensure_same_site
from api.sessions.records import digest_of
from api.sessions.sessions import Current
from api.sms.providers import VALID_S
from ledger.clock import now_us, rfc3339
from ledger.directory import passwords, users
from ledger.directory.errors import BadField, DirectoryNotFound
from ledger.directory.menus import menu_of
from ledger.directory.names import folded
from ledger.errors import ReadUnavailable

TRIES_AT_A_NAME = Limit(name="login-at", most=10, period_s=900)
"""Of one address at one name."""
TRIES_OF_AN_ADDRESS = Limit(name="login-from", most=100, period_s=900)
TRIES_OF_A_NAME = Limit(name="login-name", most=200, period_s=3_600)
"""Of all addresses together: above what people mistype, so that nobody is easily locked out by others."""

FIRST_PASSWORD_US = 600_000_000
"""How long after a login a first password may be set."""

_log = structlog.get_logger(__name__)
routes = Routes("session")


@routes.post(
    "/v1/session",
    permission=PUBLIC,
    summary="Log in; the answer sets the session's cookie.",
    body=LoginBody(),
    answers={201: MeAnswer()},
    errors=(401, 403, 429, 503),
)
def log_in(call: Call) -> Answer:
    """Begin a session."""
    ensure_same_site(request.headers)
    address = request.remote_addr or ""
    by_code = "code" in call.body
    person = _of_code(call, address) if by_code else _of_password(call, address)
    if person is None:
        LOGINS_FAILED.labels("code" if by_code else "password").inc()
        _log.info("login-failed", address=address, by="code" if by_code else "password")
        raise LoginFailed()
    return _logged_in(call, person, address)


@routes.post(
    "/v1/sms-codes",
    permission=PUBLIC,
    summary="Send a login code to a mobile number, if it is a user's; the answer does not say.",
    body=CodeBody(),
    answers={202: CodeAnswer()},
    errors=(403, 429, 501, 503),
)
def send_code(call: Call) -> Answer:
    """Send a login code."""
    services = _services(call)
    ensure_same_site(request.headers)
    mobile = _number(services, call.body["mobile"])
    if mobile is None:
        problem = "expected a mobile number such as +8613800138000"
        raise InvalidFields(errors=[FieldError(pointer="/mobile", detail=problem)])
    is_known = users.person_of_mobile(services.directory, mobile) is not None
    services.codes.send(mobile, address=request.remote_addr or "", is_known=is_known)
    return Answer(202, {"valid_s": VALID_S})


@routes.delete("/v1/session", permission=LOGGED_IN, summary="Log out.", answers={204: None})
def log_out(call: Call) -> Answer:
    """End the session that asks."""
    services = _services(call)
    services.sessions.end(_current().digest)
    g.session = None
    return Answer(204, "", {"Set-Cookie": no_cookie(services.session_settings)})


@routes.get(
    "/v1/me", permission=LOGGED_IN, summary="Who is asking, with permissions and menus.", answers={200: MeAnswer()}
)
def read_me(call: Call) -> Answer:
    """Return who asks."""
    return Answer(200, _me(call, g.get("session")))


@routes.patch(
    "/v1/me", permission=LOGGED_IN, summary="Change one's language.", body=MeChanges(), answers={200: MeAnswer()}
)
def change_me(call: Call) -> Answer:
    """Change what one may change of oneself."""
    services, current = _services(call), _current()
    users.change(services.directory, current.person.id, {"locale": call.body["locale"]})
    return Answer(200, {**_me(call, current), "locale": call.body["locale"]})


@routes.post(
    "/v1/me/password",
    permission=LOGGED_IN,
    summary="Change one's password, or set a first one soon after logging in by a code; all other sessions end.",
    body=PasswordBody(),
    answers={200: MeAnswer()},
    errors=(429,),
)
def change_my_password(call: Call) -> Answer:
    """Change one's password."""
    services, current = _services(call), _current()
    person, address = current.person, request.remote_addr or ""
    _count_try(services, person.username, address)
    if not person.has_password:
        # Whoever finds an open session must not take it over: only a login of just now, by a code, sets a first password.
        if now_us() - current.record.began_at_us > FIRST_PASSWORD_US:
            raise LoginTooOld()
    elif not users.has_password(services.directory, person.id, call.body.get("password", "")):
        raise WrongPassword()
    problem = passwords.problem_of(call.body["new_password"], username=person.username)
    if problem is not None:
        raise BadField(pointer="/new_password", problem=problem)
    epoch = users.set_password(services.directory, person.id, call.body["new_password"], epoch=person.epoch)
    if epoch is None:
        # The session has ended since it was looked at, as by a password that somebody else set: that one stays.
        raise Unauthenticated()
    _forget_tries(services, person.username, address)
    g.session = services.sessions.renewed(current, epoch=epoch)
    return Answer(200, {**_me(call, g.session), "has_password": True})


@routes.get(
    "/v1/sessions", permission=LOGGED_IN, summary="One's sessions, the youngest first.", answers={200: SessionsAnswer()}
)
def list_sessions(call: Call) -> Answer:
    """Return one's sessions."""
    current = _current()
    found = _services(call).sessions.of_user(current.person)
    return Answer(
        200,
        {
            "data": [
                {
                    "id": record.id,
                    "began_at": rfc3339(record.began_at_us),
                    "seen_at": rfc3339(record.seen_at_us),
                    "ends_at": rfc3339(record.ends_at_us),
                    "address": record.address,
                    "agent": record.agent,
                    "current": digest == current.digest,
                }
                for digest, record in found
            ]
        },
    )


@routes.delete(
    "/v1/sessions/<token:id>", permission=LOGGED_IN, summary="End one of one's sessions.", answers={204: None}
)
def end_session(call: Call) -> Answer:
    """End one of one's sessions."""
    services, current = _services(call), _current()
    for digest, record in services.sessions.of_user(current.person):
        if record.id == call.path["id"]:
            services.sessions.end(digest)
            return Answer(204, "")
    raise DirectoryNotFound(kind="session", id=call.path["id"])


@routes.delete("/v1/sessions", permission=LOGGED_IN, summary="Log out everywhere.", answers={204: None})
def end_all_sessions(call: Call) -> Answer:
    """End all of one's sessions, this one too."""
    services, current = _services(call), _current()
    users.end_sessions(services.directory, current.person.id)
    services.sessions.end(current.digest)
    g.session = None
    return Answer(204, "", {"Set-Cookie": no_cookie(services.session_settings)})


def _of_password(call: Call, address: str) -> users.Person | None:
    services, username = _services(call), folded(call.body["username"])
    _count_try(services, username, address)
    person = users.person_of_password(services.directory, username, call.body["password"])
    if person is not None:
        _forget_tries(services, username, address)
    return person


def _of_code(call: Call, address: str) -> users.Person | None:
    services = _services(call)
    services.limits.take(((TRIES_OF_AN_ADDRESS, address),))
    mobile = _number(services, call.body["mobile"])
    if mobile is None or not services.codes.is_right(mobile, call.body["code"]):
        return None
    return users.person_of_mobile(services.directory, mobile)


def _number(services: Services, text: str) -> str | None:
    try:
        return users.mobile_number(text, services.settings.phone_region)
    except ValueError:
        return None


def _logged_in(call: Call, person: users.Person, address: str) -> Answer:
    services = _services(call)
    # Whatever session the browser had is over: nobody carries an id from before a login into it.
    before = request.cookies.get(services.session_settings.cookie_name)
    if before:
        services.sessions.end(digest_of(before))
    current = services.sessions.begin(person, address=address, agent=request.headers.get("User-Agent", ""))
    call.principal = person.principal
    return Answer(201, _me(call, current), {"Set-Cookie": cookie(services.session_settings, cast(str, current.token))})


def _me(call: Call, current: Current | None) -> Mapping[str, Any]:
    asker, person = call.asker, None if current is None else current.person
    return {
        "actor": asker.id,
        "user_id": None if person is None else person.id,
        "username": None if person is None else person.username,
        "name": None if person is None else person.name,
        "role": asker.role,
        "permissions": sorted(asker.permissions),
        "customer_id": asker.customer_id,
        "has_password": None if person is None else person.has_password,
        "locale": None if person is None else person.locale,
        "menus": menu_of(asker.permissions, is_customer=asker.customer_id is not None, own=asker.menu),
        "csrf_token": None if current is None else current.record.csrf,
    }


def _count_try(services: Services, username: str, address: str) -> None:
    tries = ((TRIES_AT_A_NAME, f"{address} {username}"), (TRIES_OF_AN_ADDRESS, address), (TRIES_OF_A_NAME, username))
    try:
        services.limits.take(tries)
    except ReadUnavailable:
        # Checking a password is slow by itself, and few are checked at a time.
        _log.warning("tries to log in cannot be counted")


def _forget_tries(services: Services, username: str, address: str) -> None:
    try:
        services.limits.forget(TRIES_AT_A_NAME, f"{address} {username}")
        services.limits.forget(TRIES_OF_A_NAME, username)
    except ReadUnavailable:
        _log.warning("tries to log in cannot be counted")


def _current() -> Current:
    current = g.get("session")
    if current is None:
        raise SessionNeeded()
    return cast(Current, current)


def _services(call: Call) -> Services:
    return cast(Services, call.services)
