"""What the API counts besides requests."""

from __future__ import annotations

from ledger.figures import counter

LOGINS_FAILED = counter("logins_failed", "logins with a wrong password or code", "by")
LIMITED = counter("limited", "tries refused because there were too many, by what was tried", "limit")
