"""What can be wrong with a request before any rule of the ledger is asked: one class per answer.

They join the ledger's tree, so that one table (api.problems) maps every error to its status and code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.errors import LedgerError, NotFound, Unavailable


class RequestError(LedgerError):
    """The request cannot be taken as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong field: a JSON pointer into the body, or the name of a query parameter or header, and what is wrong."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    def to_json(self) -> dict[str, str]:
        """Return the error as it is answered."""
        named = {"pointer": self.pointer, "parameter": self.parameter, "header": self.header, "detail": self.detail}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(eq=False, kw_only=True)
class MalformedRequest(RequestError):
    """The body is not the JSON it must be, or a header is not of its form."""

    code = "malformed"
    message = "{problem}"
    problem: str


class IdempotencyKeyMissing(RequestError):
    """A command came without its key."""

    code = "idempotency-key-missing"
    message = "this request needs an Idempotency-Key header; a repeat with the same key never takes effect twice"


class Unauthenticated(RequestError):
    """Nobody, or nobody known, is asking."""

    code = "unauthenticated"
    message = "a valid API key or session is needed"


class LoginFailed(RequestError):
    """Nobody has this name and password, or number and code, or may log in."""

    code = "login-failed"
    message = "the name and password, or number and code, do not belong together, or the login is closed"


class SmsOff(RequestError):
    """No provider of messages is set up."""

    code = "sms-off"
    message = "codes by SMS are not set up here; log in by password"


class WrongPassword(RequestError):
    """The password that must be given again is not the user's."""

    code = "wrong-password"
    message = "this is not your password"


class LoginTooOld(RequestError):
    """A first password is only set soon after logging in by a code."""

    code = "login-too-old"
    message = "log in again by a code; a first password can be set within ten minutes after that"


class SessionNeeded(RequestError):
    """Only a person who is logged in can do this, not a machine with a key."""

    code = "session-needed"
    message = "this is for people who are logged in, not for API keys"


class CsrfTokenWrong(RequestError):
    """A session's request that changes something came without the session's token."""

    code = "csrf-token-wrong"
    message = "the X-CSRF-Token header does not belong to the session; read csrf_token at /v1/me and send it along"


class CrossSite(RequestError):
    """The browser says that another site made it ask."""

    code = "cross-site"
    message = "another site made this request; open the page itself"


@dataclass(eq=False, kw_only=True)
class TooManyTries(RequestError):
    """It was tried too often."""

    code = "too-many-tries"
    message = "too many tries; wait {retry_after_s} seconds"
    retry_after_s: int


@dataclass(eq=False, kw_only=True)
class Forbidden(RequestError):
    """The principal's role lacks the permission."""

    code = "forbidden"
    message = "this needs the permission {permission}"
    permission: str


class PathNotFound(NotFound):
    """No such path."""

    code = "not-found"
    message = "there is nothing at this path"


@dataclass(eq=False, kw_only=True)
class PositionNotFound(NotFound):
    """The log has no event at this position, or not for this principal."""

    code = "position-not-found"
    message = "no event at position {position}"
    position: int


class NotSealed(NotFound):
    """No checkpoint covers it yet."""

    code = "not-sealed"
    message = "no signed checkpoint covers this yet; new events are sealed within seconds, when a signing key is set up"


class CommandNotFound(NotFound):
    """No outcome is stored under this key for this principal."""

    code = "command-not-found"
    message = "no outcome is stored under this idempotency key"


class MethodNotAllowed(RequestError):
    """The path has other methods; Allow lists them."""

    code = "method-not-allowed"
    message = "this path has other methods, see the Allow header"


@dataclass(eq=False, kw_only=True)
class BodyTooLarge(RequestError):
    """The body passes the limit."""

    code = "too-large"
    message = "the body may have {bytes_max} bytes"
    bytes_max: int


@dataclass(eq=False, kw_only=True)
class TooManyCommands(RequestError):
    """A streamed batch has more lines than one request may; the commands from here on were not read."""

    code = "too-large"
    message = "a batch may have {commands_max} commands; this one and those after it were not read"
    commands_max: int


@dataclass(eq=False, kw_only=True)
class TooManyRows(RequestError):
    """More was found than one workbook may hold."""

    code = "too-many-rows"
    message = "more than {rows_max} orders were found; narrow the search, or take CSV, which has no limit"
    rows_max: int


@dataclass(eq=False, kw_only=True)
class TooManyEvents(RequestError):
    """A replay would read more than one request can wait for."""

    code = "too-many-events"
    message = (
        "{events} events would be read, {events_max} are the limit; begin later, name a customer, or ask the operator for "
        "`orderledger audit what-if`"
    )
    events: int
    events_max: int


@dataclass(eq=False, kw_only=True)
class UnsupportedMediaType(RequestError):
    """The body is of another type than the route takes."""

    code = "unsupported-media-type"
    message = "the body must be {expected}"
    expected: str


@dataclass(eq=False, kw_only=True)
class InvalidFields(RequestError):
    """The body or query is well formed, but fields of it are not."""

    code = "invalid-fields"
    message = "some fields are not valid, see errors"
    errors: Sequence[FieldError] = field(default_factory=tuple)


@dataclass(eq=False, kw_only=True)
class NotFreshEnough(Unavailable):
    """The read model did not reach the position asked for in time."""

    code = "not-fresh-enough"
    message = "the answer would reflect position {position}, not yet {wanted}; try again"
    position: int
    wanted: int
