"""How an event looks in the feed, to whoever reads it and to whom it is sent."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from ledger.clock import rfc3339
from ledger.events import Recorded


def event_json(recorded: Recorded) -> dict[str, Any]:
    """Return an event as the feed has it: the whole envelope, data and postings as the stored bytes' own JSON."""
    return {
        "position": recorded.position,
        "event_id": str(UUID(bytes=recorded.event_id)),
        "account_id": recorded.account_id,
        "version": recorded.version,
        "type": recorded.type,
        "schema_version": recorded.schema_version,
        "order_id": recorded.order_id,
        "actor": recorded.actor,
        "idempotency_key": recorded.idempotency_key.decode("utf-8"),
        "correlation_id": recorded.correlation_id,
        "causation_id": recorded.causation_id,
        "recorded_at": rfc3339(recorded.recorded_at_us),
        "available_minor": recorded.available_minor,
        "held_minor": recorded.held_minor,
        "details_hash": None if recorded.details_hash is None else recorded.details_hash.hex(),
        "data": json.loads(recorded.data),
        "postings": json.loads(recorded.postings),
        "leaf_hash": recorded.leaf_hash.hex(),
    }
