"""Sessions: begun at login, found by their cookie, renewed, ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from api.sessions.records import TEXT_LENGTH_MAX, SessionRecord, digest_of
from api.sessions.settings import SessionSettings
from api.sessions.stores import SessionStore
from ledger.clock import now_us
from ledger.directory.users import Person
from ledger.ids import new_id

TOKEN_BYTES = 32
SEEN_STEP_US = 30_000_000
"""How much later a request must be to be noted: not every one costs a write."""
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The session of a request: who it is, and `token` when the browser must be given a new one, or an old one again."""

    digest: bytes
    record: SessionRecord
    person: Person
    token: str | None = None


class Sessions:
    """All sessions of an installation. Thread-safe. Every method raises ReadUnavailable when the store fails."""

    def __init__(
        self, store: SessionStore, settings: SessionSettings, person_of: Callable[[str], Person | None]
    ) -> None:
        self._store = store
        self._settings = settings
        self._person_of = person_of

    def begin(self, person: Person, *, address: str, agent: str) -> Current:
        """Begin a session under a new id."""
        now = now_us()
        record = SessionRecord(
            id=new_id("ses"),
            user_id=person.id,
            epoch=person.epoch,
            role=person.principal.role,
            csrf=secrets.token_urlsafe(TOKEN_BYTES),
            began_at_us=now,
            seen_at_us=now,
            ends_at_us=now + self._settings.session_cookie_age_s * SECOND_US,
            address=address[:TEXT_LENGTH_MAX],
            agent=agent[:TEXT_LENGTH_MAX],
        )
        return self._under_new_id(record, person)

    def find(self, token: str) -> Current | None:
        """Return the session of an id if it is alive; one whose user's role changed is given a new id."""
        digest, now = digest_of(token), now_us()
        record = self._store.get(digest)
        if record is None:
            return None
        person = self._person_of(record.user_id) if self._is_alive(record, now) else None
        if person is None or person.epoch != record.epoch:
            self._store.remove(digest)
            return None
        if person.principal.role != record.role:
            # Of two requests that find this at once one renews the session; the other's browser gets its cookie then.
            if not self._store.remove(digest):
                return None
            return self._under_new_id(replace(record, role=person.principal.role, seen_at_us=now), person)
        if self._settings.session_refresh_each_request:
            record = replace(record, ends_at_us=now + self._settings.session_cookie_age_s * SECOND_US)
        elif now - record.seen_at_us < SEEN_STEP_US:
            return Current(digest=digest, record=record, person=person)
        record = replace(record, seen_at_us=now)
        self._store.replace(digest, record, self._gone_at_us(record))
        again = token if self._settings.session_refresh_each_request else None
        return Current(digest=digest, record=record, person=person, token=again)

    def renewed(self, current: Current, *, epoch: int) -> Current:
        """Return the session under a new id and in the user's new epoch; the old id opens nothing any more."""
        self._store.remove(current.digest)
        return self._under_new_id(replace(current.record, epoch=epoch), current.person)

    def end(self, digest: bytes) -> None:
        """End a session."""
        self._store.remove(digest)

    def of_user(self, person: Person) -> Sequence[tuple[bytes, SessionRecord]]:
        """Return a user's living sessions, the youngest first."""
        now = now_us()
        alive = [
            each
            for each in self._store.of_user(person.id)
            if self._is_alive(each[1], now) and each[1].epoch == person.epoch
        ]
        return sorted(alive, key=lambda each: each[1].began_at_us, reverse=True)

    def collect(self) -> int:
        """Remove sessions that have ended, and return how many."""
        return self._store.collect(now_us())

    def _under_new_id(self, record: SessionRecord, person: Person) -> Current:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        digest = digest_of(token)
        self._store.put(digest, record, self._gone_at_us(record))
        return Current(digest=digest, record=record, person=person, token=token)

    def _is_alive(self, record: SessionRecord, now: int) -> bool:
        return now < self._gone_at_us(record)

    def _gone_at_us(self, record: SessionRecord) -> int:
        return min(record.ends_at_us, record.seen_at_us + self._settings.session_idle_s * SECOND_US)
