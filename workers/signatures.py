"""Signatures of what we send, as Standard Webhooks has them. Source: https://www.standardwebhooks.com."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook


def signature_headers(keys: Sequence[bytes], message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers that sign a message now, once with each key."""
    now, text = datetime.now(UTC), body.decode("utf-8")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, now, text) for key in keys),
    }
