"""Whether the settings of a process are safe: secrets, debugging, files, pools. Nothing here connects anywhere."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from api.settings import SECRET_FILE, ApiSettings
from ledger.database import database_url, directory_url, node_urls
from ledger.errors import BadSetting, LedgerError
from ledger.proofs.signer import read_keys
from ledger.safety.checks import BAD, GOOD, WARNING, Finding, finding
from ledger.settings import PREFIX, LedgerSettings, boolean, read_settings
from projections.settings import ProjectionSettings

SECRET_CHARACTERS_MIN = 32
SECRET_DISTINCT_MIN = 8
"""Fewer different characters than this are a pattern, such as 32 times the same."""
WELL_KNOWN = frozenset({
    "admin", "changeit", "changeme", "change-me", "change_me", "default", "demo", "dev", "devkey", "development", "example",
    "insecure", "mysql", "orderledger", "pass", "passw0rd", "password", "postgres", "qwerty", "redis", "root", "s3cret",
    "secret", "secretkey", "secret-key", "secret_key", "test", "token", "123456", "12345678", "1234567890",
})  # fmt: skip
WELL_KNOWN_BEGINNINGS = ("changeme", "change-me", "change_me", "replace-me", "replace_me", "your-", "your_", "example")
"""How placeholders of example files begin."""
SECRETS = ("SMS_TOKEN", "SMS_KEY_SECRET", "DEMO_API_KEY", "DEMO_PASSWORD")
DEBUGGING = ("FLASK_DEBUG", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
"""Variables that show internals to clients or slow everything down."""
THREADS_FOR_CONNECTION_MAX = 8
"""Threads that may share one pooled connection: a command waits for its commit, not for a connection."""


def findings_of_settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what the environment and the files that it names say. Raises BadSetting."""
    is_embedded = database_url(read_settings(LedgerSettings, environment)).startswith("sqlite")
    yield _secret_key(environment, is_embedded=is_embedded)
    # A ledger on one's own machine is where one tries things out.
    state = WARNING if is_embedded else BAD
    yield from _secrets(environment, state)
    yield from _passwords(environment)
    debugging = [name for name in DEBUGGING if environment.get(name, "") not in ("", "0", "false", "no")]
    if debugging:
        yield finding("debugging", state, f"is on: {' '.join(debugging)}", f"unset {' '.join(debugging)}")
    yield from _files(environment)
    yield from _switches(environment)
    yield from _pool(environment)


def processes_of(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return how many database connections one API process may take, and all of this server's together."""
    ledger, api = read_settings(LedgerSettings, environment), ApiSettings.from_environment(environment)
    # The log's pool, the directory's, and the committer's own.
    one = 2 * (ledger.pool_size + ledger.pool_max_overflow) + 1
    return one, one * api.api_workers


def is_well_known(secret: str) -> bool:
    """Say whether a secret is one that anybody would try."""
    lowered = secret.strip().lower()
    return lowered in WELL_KNOWN or lowered.startswith(WELL_KNOWN_BEGINNINGS)


def _secret_key(environment: Mapping[str, str], *, is_embedded: bool) -> Finding:
    secret = ApiSettings.from_environment(environment).secret_key
    problem = ""
    if not secret:
        problem = "not set; list cursors and login codes end with their process"
    elif is_well_known(secret):
        problem = "is one that anybody would try"
    elif len(secret) < SECRET_CHARACTERS_MIN or len(set(secret)) < SECRET_DISTINCT_MIN:
        problem = f"can be guessed: fewer than {SECRET_CHARACTERS_MIN} characters, or nearly all the same"
    if not problem:
        return finding("secret key", GOOD, "set")
    mend = f"set {PREFIX}SECRET_KEY to the same long random text for every process"
    return finding("secret key", WARNING if is_embedded else BAD, problem, mend)


def _secrets(environment: Mapping[str, str], state: str) -> Iterator[Finding]:
    for name in SECRETS:
        if is_well_known(environment.get(PREFIX + name, "")):
            mend = f"set {PREFIX}{name} to a secret of your own"
            yield finding("well-known secret", state, f"{PREFIX}{name} is one that anybody would try", mend)


def _database_urls(settings: LedgerSettings) -> Iterator[sa.URL]:
    for text in dict.fromkeys((database_url(settings), directory_url(settings))):
        try:
            yield from node_urls(text)
        except BadSetting:
            # What is no URL is told where it is opened.
            continue


def _passwords(environment: Mapping[str, str]) -> Iterator[Finding]:
    settings = read_settings(LedgerSettings, environment)
    for url in _database_urls(settings):
        if url.get_backend_name() == "sqlite":
            continue
        password, user = url.password or "", url.username or ""
        if password and (is_well_known(password) or password == user):
            mend = "give the database's user a long random password"
            yield finding("database password", BAD, "is one that anybody would try", mend)
        elif not password and "unix_socket" not in url.query and not _is_here(url.host or "localhost"):
            mend = "give the database's user a long random password"
            yield finding("database password", BAD, "is empty, for a server on another host", mend)
    projections = ProjectionSettings.from_environment(environment)
    for name, text in (("REDIS_URL", projections.redis_url), ("QUEUE_REDIS_URL", projections.queue_redis_url)):
        parts = urlsplit(text)
        known = is_well_known(unquote(parts.password or ""))
        if parts.scheme in ("redis", "rediss") and (known or not (parts.password or _is_here(parts.hostname or ""))):
            mend = "give Redis a password, and let nobody else reach it"
            yield finding("redis password", WARNING, f"{PREFIX}{name} has none, or one that anybody would try", mend)


def _files(environment: Mapping[str, str]) -> Iterator[Finding]:
    data = Path(environment.get(PREFIX + "DATA") or "var")
    if data.exists():
        if _is_open(data):
            yield finding("data directory", WARNING, f"{data} is open to other users", f"chmod 700 {data}")
        else:
            yield finding("data directory", GOOD, f"{data} is private")
    secret = data / SECRET_FILE
    if secret.exists() and _is_open(secret):
        yield finding("secret file", BAD, "other users can read it", f"chmod 600 {secret}")
    key = Path(environment.get(PREFIX + "SIGNING_KEY_FILE") or "signing-key")
    if key.exists():
        try:
            read_keys(key)
        except LedgerError as error:
            mend = "orderledger audit keygen NAME"
            yield finding("signing key", BAD, str(error), mend)
        if _is_open(key):
            yield finding("signing key", BAD, "other users can read it", f"chmod 600 {key}")


def _switches(environment: Mapping[str, str]) -> Iterator[Finding]:
    if _is_on(environment, "EXECUTOR_ALLOW_PRIVATE", default=False):
        mend = f"unset {PREFIX}EXECUTOR_ALLOW_PRIVATE unless executors are on your own network"
        yield finding("executors", WARNING, "may be at private addresses", mend)
    if _is_on(environment, "WEBHOOKS_ALLOW_PRIVATE", default=False):
        mend = f"unset {PREFIX}WEBHOOKS_ALLOW_PRIVATE unless receivers are on your own network"
        yield finding("webhook addresses", WARNING, "may be private ones, and plain http", mend)
    if not _is_on(environment, "SESSION_COOKIE_SECURE", default=True):
        mend = f"serve by HTTPS and unset {PREFIX}SESSION_COOKIE_SECURE"
        yield finding("session cookie", WARNING, "is sent over HTTP, where others can read it", mend)
    if environment.get(PREFIX + "SMS_PROVIDER") == "console":
        yield finding("login codes", WARNING, "are printed, not sent", f"set {PREFIX}SMS_PROVIDER to who sends them")


def _pool(environment: Mapping[str, str]) -> Iterator[Finding]:
    ledger, api = read_settings(LedgerSettings, environment), ApiSettings.from_environment(environment)
    connections = ledger.pool_size + ledger.pool_max_overflow
    if api.api_threads > connections * THREADS_FOR_CONNECTION_MAX:
        mend = f"raise {PREFIX}POOL_SIZE, or lower {PREFIX}API_THREADS"
        yield finding("connection pool", WARNING, f"{api.api_threads} threads share {connections} connections", mend)


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_on(environment: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = environment.get(PREFIX + variable)
    return boolean(text) if text else default
