"""The time, in the ledger's unit."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Return microseconds since 1970, UTC."""
    return time.time_ns() // 1_000


def rfc3339(time_us: int) -> str:
    """Write a time as RFC 3339 in UTC with microseconds."""
    seconds, micros = divmod(time_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{micros:06d}Z"


def parse_rfc3339(text: str) -> int:
    """Return the microseconds of an RFC 3339 time with an offset. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset, such as Z or +08:00")
    span = moment - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
