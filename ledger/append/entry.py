"""A submission made ready to queue: hashed and encoded in the caller's thread, so that the committer need not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ledger import codec
from ledger.ids import new_event_id
from ledger.leaf import details_hash
from ledger.submission import Submission, key_digest

SALT_BYTES = 16


class Entry(NamedTuple):
    """A submission with all that can be made ready before it queues; `key` is the idempotency key's bytes."""

    submission: Submission
    key: bytes
    digest: bytes
    fingerprint: bytes
    event_id: bytes
    salt: bytes | None
    details: bytes | None
    details_hash: bytes | None


class Unit(NamedTuple):
    """Entries that were submitted together; `atomic`: all take effect or none."""

    entries: Sequence[Entry]
    atomic: bool


def prepare(submission: Submission) -> Entry:
    """Do a submission's hashing and encoding, in the caller's thread."""
    details = None if submission.details is None else codec.canonical_json(dict(submission.details))
    salt = None if details is None else os.urandom(SALT_BYTES)
    return Entry(
        submission=submission,
        key=submission.idempotency_key.encode("utf-8"),
        digest=key_digest(submission.actor, submission.idempotency_key),
        fingerprint=submission.fingerprint(),
        event_id=new_event_id(),
        salt=salt,
        details=details,
        details_hash=None if details is None or salt is None else details_hash(salt, details),
    )
