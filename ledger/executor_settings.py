"""What a product may say of its executor: names and settings, checked without opening anything.

Both who edits products and who executes orders use these rules, so that settings that were accepted can be used.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import urlsplit

ENTRY_POINT_GROUP = "orderledger.executors"
HTTP = "http"
SIMULATED = "simulated"
BUILT_IN = frozenset({HTTP, SIMULATED})
URL_LENGTH_MAX = 2_000
SECRET_LENGTH_MAX = 200
TIMEOUT_S_MAX = 15
DELAY_S_MAX = 86_400

Check = Callable[[Any], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One thing that is wrong: `pointer` is a JSON pointer into the settings, the message is for people."""

    pointer: str
    message: str


def executor_names() -> frozenset[str]:
    """Return every executor that a product can name: the built-in ones and those that installed packages declare."""
    return BUILT_IN | {each.name for each in entry_points(group=ENTRY_POINT_GROUP)}


def validate_settings(executor: str, settings: Mapping[str, Any]) -> list[FieldError]:
    """Return what is wrong with an executor's settings, in the order of the fields; empty when they can be used.

    An executor of another package checks its own settings when it is opened; here only its name must exist.
    """
    if executor == HTTP:
        return _check(settings, _HTTP_CHECKS, required="url")
    if executor == SIMULATED:
        return _check(settings, _SIMULATED_CHECKS, required=None)
    if executor not in executor_names():
        return [
            FieldError(
                pointer="", message=f"no executor {executor[:40]!r}; there are {', '.join(sorted(executor_names()))}"
            )
        ]
    return []


def secret_bytes(secret: str) -> bytes:
    """Return the signing key of a Standard Webhooks secret: base64, with or without ``whsec_``. Raises ValueError."""
    encoded = secret.removeprefix("whsec_").rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise ValueError("expected base64, optionally after whsec_") from None
    if not key:
        raise ValueError("the secret is empty")
    return key


def _check(settings: Mapping[str, Any], checks: Mapping[str, Check], *, required: str | None) -> list[FieldError]:
    errors = []
    if required is not None and required not in settings:
        errors.append(FieldError(pointer=f"/{required}", message="this setting is required"))
    for name, value in settings.items():
        check = checks.get(name)
        message = f"no such setting; there are {', '.join(checks)}" if check is None else check(value)
        if message is not None:
            errors.append(FieldError(pointer="/" + name.replace("~", "~0").replace("/", "~1"), message=message))
    return errors


def _url(value: Any) -> str | None:
    if (
        not isinstance(value, str)
        or len(value) > URL_LENGTH_MAX
        or not value.isascii()
        or not value.isprintable()
        or " " in value
    ):
        return f"expected a URL of up to {URL_LENGTH_MAX} ASCII characters"
    try:
        parts = urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return "expected a URL such as https://executor.example/orders"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
        return "expected an http or https URL such as https://executor.example/orders"
    if parts.username is not None or parts.password is not None:
        return "the URL must not hold a password; use secret to sign the calls"
    if parts.query or parts.fragment or "?" in value or "#" in value:
        return "the URL must not have a query or a fragment; the order's id is appended to its path"
    return None


def _secret(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > SECRET_LENGTH_MAX or not value.isascii():
        return f"expected up to {SECRET_LENGTH_MAX} ASCII characters"
    try:
        secret_bytes(value)
    except ValueError as error:
        return str(error)
    return None


def _number(minimum: float, maximum: float) -> Check:
    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return (
            None if is_number and minimum <= value <= maximum else f"expected a number from {minimum:g} to {maximum:g}"
        )

    return check


def _whole_number(minimum: int, maximum: int) -> Check:
    def check(value: Any) -> str | None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return (
            None if is_whole and minimum <= value <= maximum else f"expected a whole number from {minimum} to {maximum}"
        )

    return check


_HTTP_CHECKS: dict[str, Check] = {"url": _url, "timeout_s": _number(0.1, TIMEOUT_S_MAX), "secret": _secret}
_SIMULATED_CHECKS: dict[str, Check] = {
    "delay_s": _number(0, DELAY_S_MAX),
    "fail_percent": _whole_number(0, 100),
    "deliver_percent": _whole_number(0, 100),
}
