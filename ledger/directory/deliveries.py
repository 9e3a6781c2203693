"""The last attempts to deliver each subscription's messages."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ledger.clock import rfc3339
from ledger.directory.changes import find
from ledger.directory.directory import Directory
from ledger.directory.listing import INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, page
from ledger.directory.models import Webhook, WebhookDelivery
from ledger.directory.webhooks import KIND

TRIMMED_WEBHOOKS_MAX = 1_000
"""Subscriptions that are trimmed at a time."""
TRIMMED_ROWS_MAX = 10_000
"""Attempts of one subscription that are removed at a time; more wait for the next."""

LISTING = Listing(
    name="webhook-deliveries",
    query=sa.select(WebhookDelivery),
    fields={
        "id": Field(WebhookDelivery.id, TOKEN),
        "message_id": Field(WebhookDelivery.message_id, TOKEN),
        "type": Field(WebhookDelivery.type, TOKEN),
        "position": Field(WebhookDelivery.position, INTEGER, nullable=True),
        "attempt": Field(WebhookDelivery.attempt, INTEGER),
        "code": Field(WebhookDelivery.code, TOKEN),
        "status": Field(WebhookDelivery.status, INTEGER, nullable=True),
        "duration_ms": Field(WebhookDelivery.duration_ms, INTEGER),
        "attempted_at": Field(WebhookDelivery.attempted_at_us, TIME),
        "next_try_at": Field(WebhookDelivery.next_try_at_us, TIME, nullable=True),
    },
    shown=(
        "id",
        "message_id",
        "type",
        "position",
        "attempt",
        "code",
        "status",
        "duration_ms",
        "attempted_at",
        "next_try_at",
    ),
)


def listed(directory: Directory, webhook_id: str, query: ListQuery) -> Page:
    """Return one page of a subscription's attempts. Raises DirectoryNotFound."""
    with directory.reading() as session:
        find(session, Webhook, KIND, webhook_id)
        return page(session, LISTING, query, public, WebhookDelivery.webhook_id == webhook_id)


def public(row: WebhookDelivery) -> dict[str, Any]:
    """Return the attempt as clients see it."""
    return {
        "id": row.id,
        "message_id": row.message_id,
        "type": row.type,
        "position": row.position,
        "attempt": row.attempt,
        "code": row.code,
        "status": row.status,
        "duration_ms": row.duration_ms,
        "attempted_at": rfc3339(row.attempted_at_us),
        "next_try_at": None if row.next_try_at_us is None else rfc3339(row.next_try_at_us),
    }


def trim(directory: Directory, kept: int) -> int:
    """Remove all but the last `kept` attempts of each subscription, in bounded steps; return how many went."""
    table = WebhookDelivery
    removed = 0
    with directory.reading() as session:
        counted = sa.select(table.webhook_id).group_by(table.webhook_id).having(sa.func.count() > kept)
        webhook_ids = list(session.scalars(counted.limit(TRIMMED_WEBHOOKS_MAX)))
    for webhook_id in webhook_ids:
        of_webhook = sa.select(table.id).where(table.webhook_id == webhook_id)
        with directory.writing() as session:
            newest_kept = session.scalar(of_webhook.order_by(table.id.desc()).offset(kept - 1).limit(1))
            old = of_webhook.where(table.id < newest_kept).order_by(table.id).limit(TRIMMED_ROWS_MAX)
            ids = list(session.scalars(old))
            if ids:
                condition = (table.webhook_id == webhook_id, table.id <= ids[-1])
                session.execute(sa.delete(table).where(*condition))
                removed += len(ids)
    return removed
