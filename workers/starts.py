"""The idempotency key of a start: who starts, and at which address.

The runner is in it, as another runner's start of the same attempt is not ours; and so is a digest of the address, as an
order must never be started at another one than it was first given to.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

ADDRESS_DIGITS = 16
_AT = ":at_"


def start_key(order_id: str, attempt: int, runner: str, address: str | None) -> str:
    """Return the key of a start at an address, as `address_of` names it."""
    return f"start:{order_id}:{attempt}:{runner}" + ("" if address is None else f"{_AT}{address}")


def address_in(key: str) -> str | None:
    """Return the address of a start, None when its key says none."""
    return key.rpartition(_AT)[2] if _AT in key else None


def address_of(settings: Mapping[str, Any]) -> str | None:
    """Return a digest of the `url` in an executor's settings, None when they have none."""
    url = settings.get("url")
    return sha256(url.rstrip("/").encode()).hexdigest()[:ADDRESS_DIGITS] if isinstance(url, str) else None
