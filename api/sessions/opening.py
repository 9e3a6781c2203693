"""The session store that the settings ask for."""

from __future__ import annotations

from pathlib import Path

import redis

from api.sessions.settings import DATABASE, REDIS, SessionSettings
from api.sessions.stores import DatabaseSessions, FileSessions, RedisSessions, SessionStore
from ledger.directory.directory import Directory

FOLDER = "sessions"


def open_store(settings: SessionSettings, *, client: redis.Redis, directory: Directory, data: str) -> SessionStore:
    """Return the store; nothing connects yet. `data` is the data directory."""
    if settings.session_store == REDIS:
        return RedisSessions(client)
    if settings.session_store == DATABASE:
        return DatabaseSessions(directory)
    return FileSessions(Path(settings.session_file_path or Path(data) / FOLDER))
