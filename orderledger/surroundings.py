"""The environment a command runs in, completed with the embedded default.

What is configured stays as it is. What is not is filled in from the data directory, so that every command of one data
directory finds the same database, the same Redis and the same secret.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from api.sessions.settings import SessionSettings
from api.settings import SECRET_FILE, ApiSettings
from api.sms.settings import SmsSettings
from ledger.database import database_url
from ledger.proofs.settings import ProofSettings
from ledger.settings import (
    PREFIX,
    Declaration,
    LedgerSettings,
    declarations,
    is_set,
    read_settings,
    refuse_unknown_settings,
    with_secrets,
)
from ledger.webhooks.settings import WebhookSettings
from orderledger import embedded
from orderledger.settings import CommandSettings
from projections.settings import ProjectionSettings
from workers.settings import WorkerSettings

SIGNING_KEY = PREFIX + "SIGNING_KEY_FILE"
SIGNING_KEY_FILE = "signing-key"
SETTINGS_CLASSES = (
    LedgerSettings,
    ProjectionSettings,
    WorkerSettings,
    ApiSettings,
    SessionSettings,
    SmsSettings,
    ProofSettings,
    WebhookSettings,
    CommandSettings,
)


def known_settings() -> list[Declaration]:
    """Return every setting of the product, in the order of the reference."""
    return [declaration for settings_class in SETTINGS_CLASSES for declaration in declarations(settings_class)]


def complete(environment: Mapping[str, str], *, data: str | None = None) -> dict[str, str]:
    """Return the environment with the embedded default filled in; `data` overrides the data directory.

    Raises BadSetting for a variable with our prefix that does not exist, or one that cannot be used.
    """
    completed = dict(environment)
    if data is not None:
        completed[PREFIX + "DATA"] = data
    refuse_unknown_settings(completed, known_settings())
    completed = with_secrets(completed, known_settings())
    for settings_class in SETTINGS_CLASSES:
        read_settings(settings_class, completed)
    ledger_settings = read_settings(LedgerSettings, completed)
    directory = Path(ledger_settings.data).resolve()
    completed[PREFIX + "DATA"] = str(directory)
    completed[PREFIX + "DATABASE_URL"] = database_url(ledger_settings)
    if not completed.get(PREFIX + "REDIS_URL"):
        completed[PREFIX + "REDIS_URL"] = embedded.redis_url(directory)
    if not completed.get(SIGNING_KEY):
        completed[SIGNING_KEY] = str(directory / SIGNING_KEY_FILE)
    if not completed.get(PREFIX + "SECRET_KEY"):
        secret = _secret_in(directory)
        if secret:
            completed[PREFIX + "SECRET_KEY"] = secret
    return completed


def has_own_signing_key(environment: Mapping[str, str]) -> bool:
    """Say whether the log is the embedded one and no key is named: then the key in the data directory is this log's."""
    return not environment.get(SIGNING_KEY) and not is_set(environment, PREFIX + "DATABASE_URL")


def uses_embedded_redis(environment: Mapping[str, str]) -> bool:
    """Say whether no Redis is configured."""
    return not is_set(environment, PREFIX + "REDIS_URL")


def prepare(
    environment: Mapping[str, str], *, data: str | None = None, makes_signing_key: bool = False
) -> dict[str, str]:
    """Make the data directory with its secrets, and return the completed environment.

    A signing key is made for the embedded log, and on request: who only looks after another log's schema gets none.
    """
    completed = complete(environment, data=data)
    directory = Path(completed[PREFIX + "DATA"])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not completed.get(PREFIX + "SECRET_KEY"):
        _make_secret(directory / SECRET_FILE)
    if (makes_signing_key and not environment.get(SIGNING_KEY)) or has_own_signing_key(environment):
        _make_signing_key(Path(completed[SIGNING_KEY]))
    return complete(completed)


def migrate(
    completed: Mapping[str, str], *, only: str | None = None, say: Callable[[str], None] = lambda _: None
) -> None:
    """Bring the configured databases, or only the log's or the directory's, to the current schema. Raises NotMigrated."""
    from ledger.migrate import upgrade
    from ledger.revisions import HISTORIES

    histories = HISTORIES if only is None else (only,)
    upgrade(
        completed[PREFIX + "DATABASE_URL"], completed.get(PREFIX + "DIRECTORY_URL", ""), histories=histories, say=say
    )


def _secret_in(directory: Path) -> str:
    try:
        return (directory / SECRET_FILE).read_text("ascii").strip()
    except FileNotFoundError:
        return ""


def _make_secret(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")


def _make_signing_key(path: Path) -> None:
    from ledger.proofs.notes import SigningKey
    from ledger.proofs.signer import write_key

    with contextlib.suppress(FileExistsError):
        write_key(path, SigningKey.make(f"orderledger.local/{secrets.token_hex(4)}"))
