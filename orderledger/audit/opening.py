"""The settings and the log of an audit's command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ledger.settings import LedgerSettings


def audit_settings() -> LedgerSettings:
    """Return the settings of the ledger that the environment names."""
    from ledger.settings import LedgerSettings, read_settings

    return read_settings(LedgerSettings, environment())


def environment() -> dict[str, str]:
    """Return the environment with the embedded default filled in."""
    from orderledger.surroundings import complete

    return complete(os.environ)


@contextmanager
def audit_engine(*, writing: bool = False) -> Iterator[sa.Engine]:
    """Open the first read replica, or the log itself when there is none or something is to be written."""
    from ledger.audit.verification import audit_url
    from ledger.database import database_url, open_engine

    settings = audit_settings()
    engine = open_engine(database_url(settings) if writing else audit_url(settings), settings)
    try:
        yield engine
    finally:
        engine.dispose()
