"""How every process writes its log: one JSON object a line, or readable lines on a terminal, to standard error.

A line has the ids of what it was about: of the request in whose thread it is written, or those that it names itself.
What it never has: the values of variables, the messages of exceptions (a database's quotes what somebody typed), passwords
in URLs, tokens, keys. Of an exception there are its type, its number if it has one, and where it was raised.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

import structlog

LEVELS = ("debug", "info", "warning", "error")
OURS = ("ledger", "projections", "workers", "api", "orderledger")
FRAMES_MAX = 40
CHAIN_MAX = 5
"""Exceptions of one line: one may be the cause of another."""
HIDDEN = "***"
_SECRETS = (
    (re.compile(r"(?<=://)[^/@\s]+@"), f"{HIDDEN}@"),
    (re.compile(r"olk_[A-Za-z0-9_\-]+"), HIDDEN),
    (re.compile(r"whsec_[A-Za-z0-9+/=]+"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9\-._~+/]+=*"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?i)([?&](?:token|key|secret|password|code|signature|sign)=)[^&\s]+"), rf"\1{HIDDEN}"),
)

EventDict = MutableMapping[str, Any]


class Subject(Protocol):
    """What a thread works on, such as a request."""

    def log_fields(self) -> Mapping[str, Any]:
        """Return the ids that a line about it has."""


current: ContextVar[Subject | None] = ContextVar("current", default=None)
"""What this thread works on. Setting it costs next to nothing; its fields are made when a line is written."""


def configure_logs(level: str = "info", *, role: str = "") -> None:
    """Let this process write its log from a level on, packages of others from warnings on; `role` is in every line."""
    readable = sys.stderr.isatty()
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_role(role),
        _with_subject,
        _without_values,
        _without_secrets,
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if readable else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    minimum = getattr(logging, level.upper())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(shared, renderer))
    logging.basicConfig(level=max(minimum, logging.WARNING), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(minimum)


class _Formatter(logging.Formatter):
    """Writes the standard library's records as the others."""

    def __init__(self, shared: list[structlog.types.Processor], renderer: structlog.types.Processor) -> None:
        super().__init__()
        self._processors = [*shared, renderer]

    def format(self, record: logging.LogRecord) -> str:
        event: Any = {"event": record.getMessage(), "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for each in self._processors:
            event = each(None, record.levelname.lower(), event)
        return str(event)


def _with_role(role: str) -> structlog.types.Processor:
    def add(_: Any, __: str, event: EventDict) -> EventDict:
        if role:
            event.setdefault("role", role)
        return event

    return add


def _with_subject(_: Any, __: str, event: EventDict) -> EventDict:
    subject = current.get()
    if subject is not None:
        for name, value in subject.log_fields().items():
            event.setdefault(name, value)
    return event


def _without_values(_: Any, __: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_told(error))
    return event


def _told(error: BaseException) -> list[str]:
    """Tell of an exception and its causes, the last one last: where each was raised, and its type."""
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in chain and len(chain) < CHAIN_MAX:
        chain.insert(0, each)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return [line for one in chain for line in (*_frames(one.__traceback__), _name(one))]


def _frames(where: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(where, limit=-FRAMES_MAX)
    return [f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames]


def _name(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    number = next((value for value in error.args[:1] if isinstance(value, int)), None)
    code = getattr(error, "code", None)
    if isinstance(code, str) and re.fullmatch(r"[a-z0-9\-]{1,40}", code):
        return f"{kind}: {code}"
    return kind if number is None else f"{kind}: {number}"


def _without_secrets(_: Any, __: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = scrubbed(value)
    return event


def scrubbed(text: str) -> str:
    """Return a text without what looks like a secret."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
