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
def audit_engine(*, writing: bool = False, position: int = 0) -> Iterator[sa.Engine]:
    """Open the first replica that may be read and has `position`, or the primary; it, when something is to be written."""
    from ledger.database import database_url, open_engine, open_reading_engine
    from ledger.replicas.sources import source

    settings = audit_settings()
    if writing:
        engine = open_engine(database_url(settings), settings)
    else:
        engine = open_reading_engine(source(settings, position=position).url, settings)
    try:
        yield engine
    finally:
        engine.dispose()
