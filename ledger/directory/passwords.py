"""Passwords: what is taken as one, and how it is kept and checked.

Argon2id with 19 MiB, two passes and one lane, a salt of its own for each. A check takes that memory and some 20 ms of a
processor, so only a few run at a time. Source: OWASP Password Storage Cheat Sheet; RFC 9106.
"""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from ledger.directory.names import folded

LENGTH_MIN, LENGTH_MAX = 8, 128
CHECKS_MAX = 4
"""Hashes computed at a time in one process."""
GENERATED_BYTES = 12

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_turn = threading.BoundedSemaphore(CHECKS_MAX)


def problem_of(password: str, *, username: str = "") -> str | None:
    """Say what is wrong with a new password; None for nothing."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return f"expected {LENGTH_MIN} to {LENGTH_MAX} characters"
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in password):
        return "lone surrogates are not allowed"
    if folded(password) in _common() or len(set(password)) < 3:
        return "this password is among the first that are tried; choose another"
    if username and folded(password) == folded(username):
        return "the password must not be the username"
    return None


def generated() -> str:
    """Return a password that nobody guesses."""
    return secrets.token_urlsafe(GENERATED_BYTES)


def hashed(password: str) -> str:
    """Return what is kept of a password."""
    with _turn:
        return _hasher.hash(password)


def is_right(password: str, kept: str | None) -> bool:
    """Say whether the password is the one of which this is kept; without one it takes as long to say no."""
    with _turn:
        try:
            return _hasher.verify(kept or _nobody(), password) and kept is not None
        except (VerifyMismatchError, VerificationError, InvalidHashError, UnicodeEncodeError):
            return False


def is_outdated(kept: str) -> bool:
    """Say whether a password was kept with less work than is asked for today."""
    return _hasher.check_needs_rehash(kept)


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


@cache
def _common() -> frozenset[str]:
    # Long lists: few processes are ever given a new password.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(map(folded, FREQUENCY_LISTS["passwords"]))
