"""Where sessions live: three places with one behaviour.

A session that was removed never comes back: `replace` changes only what is there. Faults are ReadUnavailable, so a
store that cannot be reached lets nobody in.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import redis
import sqlalchemy as sa

from api.sessions.records import SessionRecord, record_of
from ledger.directory.directory import Directory
from ledger.directory.models import UserSession
from ledger.errors import ReadUnavailable
from projections.redis_clients import reading

Kept = tuple[bytes, SessionRecord]
"""A session with the digest of its id."""
GARBAGE_MAX = 10_000
"""Sessions removed in one go."""


class SessionStore(Protocol):
    """A place for sessions, by the digest of their id; `gone_at_us` is when one is of no use any more."""

    def put(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a new session."""

    def get(self, digest: bytes) -> SessionRecord | None:
        """Return the session, None when it is not there or damaged; one that ended may still be there."""

    def replace(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a session's new state, if it is still there."""

    def remove(self, digest: bytes) -> bool:
        """Forget a session; False when it was not there."""

    def of_user(self, user_id: str) -> Sequence[Kept]:
        """Return a user's sessions."""

    def collect(self, now_us: int) -> int:
        """Remove sessions that are of no use any more, a bounded number, and return how many."""


class RedisSessions:
    """Sessions in Redis, which forgets them by itself; a set for each user finds its own."""

    _REPLACE = """local old = redis.call('GET', KEYS[1])
    if not old then return 0 end
    redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
    return 1"""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a new session."""
        gone_at_ms = -(-gone_at_us // 1_000)
        mine = self._of_user(record.user_id)
        with reading(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(self._key(digest), record.to_json(), pxat=gone_at_ms)
            pipeline.sadd(mine, digest.hex())
            # The set is as old as its youngest member may become.
            pipeline.pexpireat(mine, gone_at_ms, nx=True)
            pipeline.pexpireat(mine, gone_at_ms, gt=True)
            pipeline.execute()

    def get(self, digest: bytes) -> SessionRecord | None:
        """Return the session, None when it is not there or damaged."""
        with reading():
            found = cast("bytes | None", self._client.get(self._key(digest)))
        return None if found is None else record_of(found)

    def replace(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a session's new state, if it is still there."""
        gone_at_ms = -(-gone_at_us // 1_000)
        with reading():
            self._client.eval(self._REPLACE, 1, self._key(digest), record.to_json(), str(gone_at_ms))
            self._client.pexpireat(self._of_user(record.user_id), gone_at_ms, gt=True)

    def remove(self, digest: bytes) -> bool:
        """Forget a session; False when it was not there."""
        with reading():
            found = cast("bytes | None", self._client.getdel(self._key(digest)))
            record = None if found is None else record_of(found)
            if record is not None:
                self._client.srem(self._of_user(record.user_id), digest.hex())
        return found is not None

    def of_user(self, user_id: str) -> Sequence[Kept]:
        """Return a user's sessions, and forget in its set those that Redis forgot."""
        with reading():
            members = sorted(cast("set[bytes]", self._client.smembers(self._of_user(user_id))))
            if not members:
                return []
            digests = [bytes.fromhex(each.decode()) for each in members]
            texts = cast("list[bytes | None]", self._client.mget([self._key(each) for each in digests]))
            gone = [member for member, text in zip(members, texts, strict=True) if text is None]
            if gone:
                self._client.srem(self._of_user(user_id), *gone)
        return _whole(zip(digests, texts, strict=True))

    def collect(self, now_us: int) -> int:
        """Nothing: Redis does."""
        return 0

    def _key(self, digest: bytes) -> str:
        return f"ol:session:{digest.hex()}"

    def _of_user(self, user_id: str) -> str:
        return f"ol:sessions:{user_id}"


class DatabaseSessions:
    """Sessions in the directory's database."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def put(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a new session."""
        row = {"digest": digest, "user_id": record.user_id, "ends_at_us": gone_at_us, "data": record.to_json()}
        with self._directory.writing() as session:
            session.execute(sa.insert(UserSession), [row])

    def get(self, digest: bytes) -> SessionRecord | None:
        """Return the session, None when it is not there or damaged."""
        with self._directory.reading() as session:
            text = session.scalar(sa.select(UserSession.data).where(UserSession.digest == digest))
        return None if text is None else record_of(text)

    def replace(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a session's new state, if it is still there."""
        change = sa.update(UserSession).where(UserSession.digest == digest)
        with self._directory.writing() as session:
            session.execute(change.values(ends_at_us=gone_at_us, data=record.to_json()))

    def remove(self, digest: bytes) -> bool:
        """Forget a session; False when it was not there."""
        with self._directory.writing() as session:
            result: Any = session.execute(sa.delete(UserSession).where(UserSession.digest == digest))
            return bool(result.rowcount)

    def of_user(self, user_id: str) -> Sequence[Kept]:
        """Return a user's sessions."""
        with self._directory.reading() as session:
            rows = session.execute(
                sa.select(UserSession.digest, UserSession.data).where(UserSession.user_id == user_id)
            )
            return _whole((row.digest, row.data) for row in rows)

    def collect(self, now_us: int) -> int:
        """Remove sessions that are of no use any more."""
        with self._directory.writing() as session:
            gone = sa.select(UserSession.digest).where(UserSession.ends_at_us <= now_us).limit(GARBAGE_MAX)
            digests = list(session.scalars(gone))
            if digests:
                session.execute(sa.delete(UserSession).where(UserSession.digest.in_(digests)))
            return len(digests)


class FileSessions:
    """Sessions in files of one folder, for one machine: a file's time of change is when it is of no use any more."""

    _NAME = re.compile(r"[0-9a-f]{64}\.json")

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a new session."""
        with self._changing():
            self._write(digest, record, gone_at_us)

    def get(self, digest: bytes) -> SessionRecord | None:
        """Return the session, None when it is not there or damaged."""
        try:
            return record_of(self._path(digest).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unavailable() from error

    def replace(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        """Keep a session's new state, if it is still there."""
        with self._changing():
            if self._path(digest).exists():
                self._write(digest, record, gone_at_us)

    def remove(self, digest: bytes) -> bool:
        """Forget a session; False when it was not there."""
        with self._changing():
            try:
                self._path(digest).unlink()
            except FileNotFoundError:
                return False
            return True

    def of_user(self, user_id: str) -> Sequence[Kept]:
        """Return a user's sessions, by looking at every file."""
        digests = [bytes.fromhex(path.stem) for path in self._files()]
        found = [(digest, record) for digest in digests if (record := self.get(digest)) is not None]
        return [(digest, record) for digest, record in found if record.user_id == user_id]

    def collect(self, now_us: int) -> int:
        """Remove sessions that are of no use any more, and what a crash left half written."""
        removed = 0
        with self._changing():
            for path in self._folder.iterdir():
                if path.suffix in (".json", ".new") and path.stat().st_mtime_ns <= now_us * 1_000:
                    path.unlink()
                    removed += path.suffix == ".json"
        return removed

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if self._NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unavailable() from error

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.json"

    def _write(self, digest: bytes, record: SessionRecord, gone_at_us: int) -> None:
        path = self._path(digest)
        beside = path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(record.to_json())
        os.utime(beside, ns=(gone_at_us * 1_000, gone_at_us * 1_000))
        beside.replace(path)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unavailable() from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise _unavailable() from error
        finally:
            os.close(lock)


def _whole(found: Any) -> list[Kept]:
    records = [(digest, None if text is None else record_of(text)) for digest, text in found]
    return [(digest, record) for digest, record in records if record is not None]


def _unavailable() -> ReadUnavailable:
    return ReadUnavailable(reason="the folder of sessions cannot be used")
