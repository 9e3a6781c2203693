"""Who sends a code to a number: one interface, chosen by the settings."""

from __future__ import annotations

import json
import logging
import re
import sys
import urllib.error
import urllib.request
from email.message import Message
from string import Template
from typing import IO, Any, Protocol

from api.sms.settings import ALIYUN, CONSOLE, HTTP, TENCENT, SmsSettings
from ledger.errors import BadSetting
from ledger.settings import PREFIX

VALID_S = 60
"""How long a code is good for."""
ANSWER_BYTES_MAX = 10_000


class NotSent(Exception):
    """The provider did not take the message; the text says why, without the code or the number."""


class Provider(Protocol):
    """Sends codes."""

    def send(self, mobile: str, code: str) -> None:
        """Send a code to a number (E.164). Raises NotSent."""


class ConsoleProvider:
    """Prints codes on standard error, for development."""

    def send(self, mobile: str, code: str) -> None:
        """Print the code."""
        print(f"orderledger: the login code of {mobile} is {code}, for {VALID_S} seconds", file=sys.stderr, flush=True)


class HttpProvider:
    """Posts codes as JSON: whoever takes it sends the message."""

    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        try:
            self._body = json.loads(settings.sms_body)
            _filled(self._body, {"mobile": "", "code": "", "valid_s": ""})
        except (ValueError, KeyError):
            raise BadSetting(
                variable=f"{PREFIX}SMS_BODY", problem="must be JSON; its texts may have $mobile, $code and $valid_s"
            ) from None
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, mobile: str, code: str) -> None:
        """Post the code."""
        body = _filled(self._body, {"mobile": mobile, "code": code, "valid_s": str(VALID_S)})
        headers = {"Content-Type": "application/json"}
        if self._settings.sms_token:
            headers["Authorization"] = f"Bearer {self._settings.sms_token}"
        request = urllib.request.Request(
            self._settings.sms_url, json.dumps(body).encode("utf-8"), headers, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._settings.sms_timeout_s) as answer:
                answer.read(ANSWER_BYTES_MAX)
        except urllib.error.HTTPError as error:
            raise NotSent(f"the provider answered {error.code}") from None
        except (OSError, ValueError) as error:
            raise NotSent(f"the provider cannot be reached: {type(error).__name__}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A code is not posted to where an answer points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow nothing."""


def provider_of(settings: SmsSettings) -> Provider | None:
    """Return the provider that the settings name, None for none. Raises BadSetting."""
    if settings.sms_provider == CONSOLE:
        return ConsoleProvider()
    if settings.sms_provider == HTTP:
        return HttpProvider(settings)
    try:
        # Here and not above: the vendors' packages are extras, and one takes half a second and 50 MB to import.
        if settings.sms_provider == TENCENT:
            from api.sms.tencent import TencentProvider

            return TencentProvider(settings)
        if settings.sms_provider == ALIYUN:
            from api.sms.aliyun import AliyunProvider

            return AliyunProvider(settings)
    except ImportError as error:
        vendor = settings.sms_provider
        raise BadSetting(
            variable=f"{PREFIX}SMS_PROVIDER",
            problem=f"{vendor} needs its package: pip install 'orderledger[{vendor}]'",
        ) from error
    return None


def refused(vendor: str, code: object) -> NotSent:
    """Return what to raise for a vendor's error code; what is not spelt like one could be anything, and is left out."""
    is_named = isinstance(code, str) and re.fullmatch(r"[A-Za-z._:]{1,100}", code)
    return NotSent(f"{vendor} did not take the message: {code if is_named else 'it named no reason'}")


def keep_quiet(*loggers: str) -> None:
    """Let packages say nothing below a warning: at the level of debugging they write down what they send."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.WARNING)


def _filled(template: Any, values: dict[str, str]) -> Any:
    if isinstance(template, str):
        return Template(template).substitute(values)
    if isinstance(template, dict):
        return {name: _filled(inner, values) for name, inner in template.items()}
    if isinstance(template, list):
        return [_filled(inner, values) for inner in template]
    return template
