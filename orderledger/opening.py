"""Open what a command needs, from its environment, and close it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa

from ledger.database import database_url, directory_url, open_engine
from ledger.directory.directory import Directory
from ledger.settings import LedgerSettings, read_settings


@contextmanager
def opened_engine(environment: Mapping[str, str]) -> Iterator[sa.Engine]:
    """Open the log's engine."""
    settings = read_settings(LedgerSettings, environment)
    engine = open_engine(database_url(settings), settings)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def opened_directory(environment: Mapping[str, str]) -> Iterator[Directory]:
    """Open the directory."""
    settings = read_settings(LedgerSettings, environment)
    engine = open_engine(directory_url(settings), settings)
    try:
        yield Directory(engine)
    finally:
        engine.dispose()
