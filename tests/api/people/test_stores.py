"""Every session store keeps, finds, lists, forgets and cleans up alike, and what was removed never comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from api.sessions.records import SessionRecord, digest_of, record_of
from api.sessions.stores import DatabaseSessions, FileSessions, RedisSessions, SessionStore
from ledger.clock import now_us
from ledger.database import open_engine
from ledger.directory.directory import Directory
from ledger.errors import ReadUnavailable
from ledger.settings import LedgerSettings
from projections.redis_clients import open_redis

HOUR_US = 3_600_000_000
Reopen = Callable[[], SessionStore]


@pytest.fixture(params=["redis", "sqlite", "mariadb", "file"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Reopen:
    """Opens the store as a new process does."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        return lambda: RedisSessions(open_redis(url))
    if request.param == "file":
        return lambda: FileSessions(tmp_path / "some" / "sessions")
    url = request.getfixturevalue(f"{request.param}_ledger_url")
    return lambda: DatabaseSessions(Directory(open_engine(url, LedgerSettings())))


def session(user_id: str = "usr_1", **more: object) -> SessionRecord:
    now = now_us()
    record = SessionRecord(
        id="ses_1",
        user_id=user_id,
        epoch=1,
        role="admin",
        csrf="token",
        began_at_us=now,
        seen_at_us=now,
        ends_at_us=now + HOUR_US,
        address="192.0.2.1",
        agent='浏览器 🙂 "quoted"',
    )
    return replace(record, **more)  # type: ignore[arg-type]


def test_a_session_is_found_after_a_restart(reopen: Reopen) -> None:
    record, digest = session(), digest_of("a")

    reopen().put(digest, record, record.ends_at_us)

    assert reopen().get(digest) == record
    assert reopen().get(digest_of("b")) is None


def test_a_removed_session_is_gone_and_a_late_change_does_not_bring_it_back(reopen: Reopen) -> None:
    store, record, digest = reopen(), session(), digest_of("a")
    store.put(digest, record, record.ends_at_us)

    assert store.remove(digest) is True
    store.replace(digest, replace(record, seen_at_us=record.seen_at_us + 1), record.ends_at_us)

    assert store.get(digest) is None
    assert store.of_user("usr_1") == []
    assert store.remove(digest) is False


def test_a_change_is_kept(reopen: Reopen) -> None:
    store, record, digest = reopen(), session(), digest_of("a")
    store.put(digest, record, record.ends_at_us)
    later = replace(record, seen_at_us=record.seen_at_us + 5)

    store.replace(digest, later, record.ends_at_us + 5)

    assert store.get(digest) == later


def test_a_users_sessions_are_listed_and_nobody_elses(reopen: Reopen) -> None:
    store = reopen()
    for token, user_id in (("a", "usr_1"), ("b", "usr_1"), ("c", "usr_2")):
        record = session(user_id, id=f"ses_{token}")
        store.put(digest_of(token), record, record.ends_at_us)

    assert sorted(record.id for _, record in store.of_user("usr_1")) == ["ses_a", "ses_b"]
    assert {digest for digest, _ in store.of_user("usr_1")} == {digest_of("a"), digest_of("b")}
    assert store.of_user("usr_3") == []


def test_what_has_ended_is_cleaned_up_and_what_lives_stays(reopen: Reopen) -> None:
    store, now = reopen(), now_us()
    # Redis counts in milliseconds: what ended in this one is there until the next.
    ended = now - 1_000
    store.put(digest_of("old"), session(id="ses_old", ends_at_us=ended), ended)
    store.put(digest_of("new"), session(id="ses_new"), now + HOUR_US)

    store.collect(now)

    assert store.get(digest_of("old")) is None
    assert [record.id for _, record in store.of_user("usr_1")] == ["ses_new"]
    assert store.collect(now) == 0


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"id": 1}', "\x80", '{"__class__": "os.system"}', session().to_json()[:-2]]
)
def test_what_is_no_session_is_none(text: str) -> None:
    assert record_of(text) is None


def test_a_record_survives_its_stored_form() -> None:
    record = session()

    assert record_of(record.to_json()) == record
    assert record_of(record.to_json().replace('"epoch":1', '"epoch":"1"')) is None


def test_stores_that_cannot_be_reached_let_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    stores: list[SessionStore] = [
        RedisSessions(open_redis("redis://127.0.0.1:1/0", timeout_s=0.2)),
        DatabaseSessions(Directory(open_engine(f"sqlite:///{tmp_path / 'none' / 'x.sqlite'}", LedgerSettings()))),
        FileSessions(tmp_path / "file"),
    ]
    for store in stores:
        with pytest.raises(ReadUnavailable):
            store.get(digest_of("a"))


def test_files_are_private(tmp_path: Path) -> None:
    store, record = FileSessions(tmp_path / "sessions"), session()
    store.put(digest_of("a"), record, record.ends_at_us)

    assert (tmp_path / "sessions").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "sessions").iterdir())
