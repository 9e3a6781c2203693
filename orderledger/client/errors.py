"""What a call may end with instead of an answer: one tree, so that a caller catches as much as it can handle.

A `Refused` is definite: nothing took effect, and the same key gets the same answer for ever. An `Unavailable` took no
effect, surely. After an `OutcomeUnknown` the same key settles it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_KNOWN = frozenset({"type", "title", "status", "detail", "code", "retryable", "request_id", "errors"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """What is wrong with one field: where it is in the body, or which parameter it is."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class ClientError(Exception):
    """A call did not succeed.

    `code` is stable, `fields` are what a refusal says in particular (such as `needed` and `spendable`), `errors` the
    wrong fields of a request, `key` the command's idempotency key. `status` is 0 when no answer came.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        fields: Mapping[str, Any] | None = None,
        errors: tuple[FieldProblem, ...] = (),
        retry_after_s: float | None = None,
        key: str = "",
    ) -> None:
        self.detail = detail
        self.code = code
        self.status = status
        self.request_id = request_id
        self.fields = dict(fields or {})
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.key = key
        super().__init__(detail)

    def __str__(self) -> str:
        where = "".join(f"; {each.pointer or each.parameter or 'body'}: {each.detail}" for each in self.errors)
        named = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code or type(self).__name__}: {self.detail}{where}{named}"


class Refused(ClientError):
    """A definite no: the rules', or the request is wrong."""


class NotFound(Refused):
    """There is no such thing, or it is another's."""


class Unauthenticated(Refused):
    """The API key is missing, wrong or ended."""


class Forbidden(Refused):
    """The key's role does not permit it."""


class Unavailable(ClientError):
    """Not now, and nothing was recorded: try again later."""


class TooManyRequests(Unavailable):
    """More than the service lets one ask; `retry_after_s` says when again."""


class NotFreshEnough(Unavailable):
    """What the client wrote or saw is not in the read model yet."""


class OutcomeUnknown(ClientError):
    """Whether it took effect is not known. Repeating the command with `key` settles it."""


class ServerFault(ClientError):
    """The service has a fault of its own: report the request id."""


_BY_STATUS: dict[int, type[ClientError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_BY_CODE: dict[str, type[ClientError]] = {"outcome-unknown": OutcomeUnknown, "not-fresh-enough": NotFreshEnough}


def error_of(status: int, body: bytes, *, retry_after_s: float | None = None, key: str = "") -> ClientError:
    """Return the error that an answer stands for, also an answer of a proxy that speaks no problem+json."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return error_of_problem(
        document if isinstance(document, dict) else {}, status=status, retry_after_s=retry_after_s, key=key
    )


def error_of_problem(
    problem: Mapping[str, Any], *, status: int, retry_after_s: float | None = None, key: str = ""
) -> ClientError:
    """Return the error that a problem document stands for."""
    code = str(problem.get("code", ""))
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status) or (ServerFault if status >= 500 else Refused)
    listed = problem.get("errors")
    return kind(
        str(problem.get("detail") or problem.get("title") or f"the answer was {status}"),
        code=code,
        status=status,
        request_id=str(problem.get("request_id", "")),
        fields={name: value for name, value in problem.items() if name not in _KNOWN},
        errors=tuple(
            FieldProblem(
                detail=str(each.get("detail", "")), pointer=each.get("pointer"), parameter=each.get("parameter")
            )
            for each in listed or ()
        ),
        retry_after_s=retry_after_s,
        key=key,
    )
