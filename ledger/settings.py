"""How settings are declared and read, and the settings of the ledger itself.

A package declares one frozen dataclass whose fields are made by `setting`. Entry points call `read_settings` with
the environment; nothing else reads it. A variable with the product's prefix that no package declares is an error: a
misspelt setting must not pass silently.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from ledger.errors import BadSetting
from ledger.logs import LEVELS
from ledger.money import currency
from ledger.safety.checks import accepted_checks

PREFIX = "ORDERLEDGER_"
FILE = "_FILE"
"""Behind a secret setting's variable: the file that holds its value, as containers and service managers hand secrets over."""
SECRET_BYTES_MAX = 65_536
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Settings = TypeVar("Settings", bound=_Dataclass)
Parser = Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is documented of one setting: its variable (without prefix), default, unit-bearing help text, and whether
    it is secret.
    """

    variable: str
    parse: Parser
    default: Any
    help: str
    secret: bool


def setting(variable: str, parse: Parser, default: Any, help: str, *, secret: bool = False) -> Any:
    """Declare a field read from ``ORDERLEDGER_<variable>``; ``default`` is used when it is unset or empty."""
    declaration = Declaration(variable=variable, parse=parse, default=default, help=help, secret=secret)
    return field(default=default, metadata={"setting": declaration})


def declarations(settings_class: type[Any]) -> list[Declaration]:
    """Return the declared settings of a class, in order."""
    return [each.metadata["setting"] for each in dataclasses.fields(settings_class) if "setting" in each.metadata]


def read_settings(settings_class: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Build the settings object from environment variables; a secret may be in the file that ``…_FILE`` names.

    Raises BadSetting, naming the variable and what it accepts.
    """
    values: dict[str, Any] = {}
    for each in dataclasses.fields(settings_class):
        declaration: Declaration = each.metadata["setting"]
        text = _value(declaration, environment)
        if text != "":
            try:
                values[each.name] = declaration.parse(text)
            except ValueError as error:
                raise BadSetting(variable=PREFIX + declaration.variable, problem=str(error)) from None
    return settings_class(**values)


def refuse_unknown_settings(environment: Mapping[str, str], known: Iterable[Declaration]) -> None:
    """Raise BadSetting for the first variable with our prefix that nobody declares."""
    declared = list(known)
    names = {PREFIX + each.variable for each in declared}
    names |= {PREFIX + each.variable + FILE for each in declared if each.secret}
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable not in names:
            raise BadSetting(variable=variable, problem="no such setting; see docs/settings.md for the list")


def with_secrets(environment: Mapping[str, str], known: Iterable[Declaration]) -> dict[str, str]:
    """Return the environment with secrets that are in files read into their variables. Raises BadSetting."""
    read = dict(environment)
    for each in known:
        if each.secret and read.get(PREFIX + each.variable + FILE):
            read[PREFIX + each.variable] = _value(each, environment)
            del read[PREFIX + each.variable + FILE]
    return read


def is_set(environment: Mapping[str, str], variable: str) -> bool:
    """Say whether a secret setting (its whole variable) has a value, its own or a file's."""
    return bool(environment.get(variable) or environment.get(variable + FILE))


def _value(declaration: Declaration, environment: Mapping[str, str]) -> str:
    variable = PREFIX + declaration.variable
    value, file = environment.get(variable, ""), environment.get(variable + FILE, "") if declaration.secret else ""
    if file == "":
        return value
    if value != "":
        raise BadSetting(variable=variable + FILE, problem=f"is set together with {variable}; remove one of them")
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(SECRET_BYTES_MAX + 1)
        # Editors and `echo` end a file with a line's end, which is no part of the secret.
        found = content.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadSetting(variable=variable + FILE, problem=f"{file} cannot be read: {reason}") from None
    if not found or len(content) > SECRET_BYTES_MAX:
        raise BadSetting(variable=variable + FILE, problem=f"{file} is empty or longer than {SECRET_BYTES_MAX} bytes")
    return found


def text(value: str) -> str:
    """Accept any text."""
    return value


def boolean(value: str) -> bool:
    """Accept true/false, yes/no, on/off, 1/0."""
    lowered = value.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(f"expected true or false, got {value!r}")


def integer(minimum: int, maximum: int) -> Parser:
    """Accept a whole number within the range."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}, got {value!r}")
        return int(value)

    return parse


def seconds(minimum: float, maximum: float) -> Parser:
    """Accept a duration in seconds, decimals allowed."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value) or not minimum <= float(value) <= maximum:
            raise ValueError(f"expected seconds from {minimum:g} to {maximum:g}, got {value!r}")
        return float(value)

    return parse


def one_of(*choices: str) -> Parser:
    """Accept one of the named words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, got {value!r}")
        return value

    return parse


def texts(value: str) -> tuple[str, ...]:
    """Accept a comma-separated list."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _currency_code(value: str) -> str:
    return currency(value).code


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Where the log and the directory live and how hard the ledger tries."""

    database_url: str = setting(
        "DATABASE_URL",
        text,
        "",
        "SQLAlchemy URL of the log: sqlite:///… or mysql+pymysql://…, or several of one cluster's nodes between commas, of "
        "which the first fit one is written to; empty: SQLite in the data directory",
        secret=True,
    )
    replica_urls: tuple[str, ...] = setting(
        "REPLICA_URLS",
        texts,
        (),
        "comma-separated URLs of read replicas, for audits, exports, feeds and reads of the past",
        secret=True,
    )
    replica_lag_s_max: float = setting(
        "REPLICA_LAG_S_MAX", seconds(0.1, 86_400), 60.0, "lag beyond which nothing is read from a replica, in seconds"
    )
    replica_retry_s: float = setting(
        "REPLICA_RETRY_S", seconds(0.1, 3_600), 10.0, "how long a replica that failed is left alone, in seconds"
    )
    directory_url: str = setting(
        "DIRECTORY_URL",
        text,
        "",
        "database of the directory, or its nodes between commas; empty: the log's",
        secret=True,
    )
    directory_grace_s: float = setting(
        "DIRECTORY_GRACE_S",
        seconds(0, 86_400),
        300.0,
        "how long API keys, prices and names that were read go on counting while the directory cannot be reached, in seconds",
    )
    data: str = setting("DATA", text, "./var", "directory of the embedded default's data")
    currency: str = setting("CURRENCY", _currency_code, "CNY", "ISO 4217 code of accounts opened without one")
    pool_size: int = setting(
        "POOL_SIZE", integer(1, 1000), 8, "connections a process keeps open for reads and the directory"
    )
    pool_max_overflow: int = setting("POOL_MAX_OVERFLOW", integer(0, 1000), 8, "connections beyond the pool in a rush")
    pool_recycle_s: int = setting(
        "POOL_RECYCLE_S", integer(1, 86_400), 1_800, "age at which a pooled connection is replaced, in seconds"
    )
    pool_timeout_s: float = setting(
        "POOL_TIMEOUT_S", seconds(0.1, 60), 2.0, "longest wait for a pooled connection, in seconds"
    )
    connect_timeout_s: float = setting(
        "CONNECT_TIMEOUT_S", seconds(0.1, 60), 3.0, "longest wait for a database connection, in seconds"
    )
    statement_timeout_s: float = setting(
        "STATEMENT_TIMEOUT_S", seconds(0.5, 600), 8.0, "longest wait for one database answer, in seconds"
    )
    lock_timeout_s: int = setting(
        "LOCK_TIMEOUT_S", integer(1, 60), 4, "longest wait for the log head's lock, in seconds"
    )
    append_timeout_s: float = setting(
        "APPEND_TIMEOUT_S", seconds(0.1, 60), 9.0, "longest wait of a command for its outcome, in seconds"
    )
    append_queue_max: int = setting(
        "APPEND_QUEUE_MAX",
        integer(1, 1_000_000),
        20_000,
        "commands that may wait in one process before new ones are refused",
    )
    append_group_max: int = setting(
        "APPEND_GROUP_MAX", integer(1, 10_000), 1_000, "commands committed together at most"
    )
    log_level: str = setting("LOG_LEVEL", one_of(*LEVELS), "info", "from which level on a process writes its log")
    allow_unsafe: tuple[str, ...] = setting(
        "ALLOW_UNSAFE",
        accepted_checks,
        (),
        "comma-separated names of start checks whose refusal is accepted, as the refusal prints them",
    )
