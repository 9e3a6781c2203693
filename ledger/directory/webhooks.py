"""Subscriptions: what they ask for, their secrets, and what people do to their progress. Delivering is workers.webhooks'.

A subscription begins at the head of the log. It is `paused` by people (`active`), `disabled` by the service when its
receiver is gone or has failed for too long; both keep their position, so that nothing is missed.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, contains_eager

from ledger.clock import now_us, rfc3339
from ledger.directory.changes import find, stamped, stamps, touch
from ledger.directory.directory import Directory
from ledger.directory.errors import BadField
from ledger.directory.listing import BOOLEAN, INTEGER, TIME, TOKEN, Field, Listing, ListQuery, Page, page
from ledger.directory.models import Customer, Webhook, WebhookDelivery, WebhookProgress
from ledger.ids import new_id

KIND = "webhook"
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
NO_RUNNER = ""
DELIVERING, FAILING, PAUSED, DISABLED = "delivering", "failing", "paused", "disabled"
GONE, FAILED_TOO_LONG = "gone", "failed-too-long"
"""Why the service disables a subscription."""

LISTING = Listing(
    name="webhooks",
    query=sa.select(Webhook)
    .join(Webhook.progress)
    .outerjoin(Webhook.customer)
    .options(contains_eager(Webhook.progress)),
    fields={
        "id": Field(Webhook.id, TOKEN),
        "url": Field(Webhook.url, TOKEN),
        "description": Field(Webhook.description, nullable=True),
        "customer_id": Field(Webhook.customer_id, TOKEN, nullable=True),
        "customer__name": Field(Customer.name, nullable=True),
        "active": Field(Webhook.active, BOOLEAN),
        "position": Field(WebhookProgress.position, INTEGER),
        "failures": Field(WebhookProgress.failures, INTEGER),
        "failing_since": Field(WebhookProgress.failing_since_us, TIME, nullable=True),
        "disabled_at": Field(WebhookProgress.disabled_at_us, TIME, nullable=True),
        "disabled_reason": Field(WebhookProgress.disabled_reason, TOKEN, nullable=True),
        "last_delivered_at": Field(WebhookProgress.last_delivered_at_us, TIME, nullable=True),
        "revision": Field(Webhook.revision, INTEGER),
        "created_at": Field(Webhook.created_at_us, TIME),
        "updated_at": Field(Webhook.updated_at_us, TIME),
    },
    shown=(
        "id",
        "url",
        "description",
        "event_types",
        "customer_id",
        "active",
        "state",
        "position",
        "lag_events",
        "failures",
        "failing_since",
        "last_code",
        "next_try_at",
        "last_delivered_at",
        "disabled_at",
        "disabled_reason",
        "previous_secret_until",
        "revision",
        "created_at",
        "updated_at",
    ),
)


def create(
    directory: Directory, contents: Sequence[Mapping[str, Any]], *, head: int
) -> list[tuple[dict[str, Any], str]]:
    """Create subscriptions, all or none, from the event after `head` on; return each with its secret, shown this once."""
    made: list[tuple[Webhook, str]] = []
    with directory.writing() as session:
        for each in contents:
            secret, webhook_id = _new_secret(), new_id("whk")
            if each.get("customer_id") is not None and session.get(Customer, each["customer_id"]) is None:
                raise BadField(pointer="/customer_id", problem=f"no customer {each['customer_id']}")
            row = Webhook(
                id=webhook_id,
                url=each["url"],
                description=each.get("description"),
                event_types=_stored_types(each.get("event_types", ())),
                customer_id=each.get("customer_id"),
                active=each.get("active", True),
                secret=secret,
                progress=WebhookProgress(
                    webhook_id=webhook_id,
                    position=head,
                    parts=0,
                    failures=0,
                    due_at_us=0,
                    runner=NO_RUNNER,
                    fence=0,
                    lease_until_us=0,
                ),
                **stamps(),
            )
            session.add(row)
            made.append((row, secret))
    return [(public(row, head=head), secret) for row, secret in made]


def listed(directory: Directory, query: ListQuery, *, head: int) -> Page:
    """Return one page of subscriptions; `head` is the log's, for their lag."""
    with directory.reading() as session:
        return page(session, LISTING, query, lambda row: public(row, head=head))


def read(directory: Directory, webhook_id: str, *, head: int) -> dict[str, Any]:
    """Return the subscription, without its secret. Raises DirectoryNotFound."""
    with directory.reading() as session:
        return public(find(session, Webhook, KIND, webhook_id), head=head)


def change(
    directory: Directory, webhook_id: str, changes: Mapping[str, Any], *, head: int, revision: int | None = None
) -> dict[str, Any]:
    """Change where messages go, what is asked for, or pause it. Raises DirectoryNotFound, RevisionMismatch."""
    with directory.writing() as session:
        row = find(session, Webhook, KIND, webhook_id, revision=revision, lock=True)
        url, was_active = row.url, row.active
        for name in ("url", "description"):
            if name in changes:
                setattr(row, name, changes[name])
        if "event_types" in changes:
            row.event_types = _stored_types(changes["event_types"])
        if "active" in changes:
            row.active = changes["active"]
        if changes.keys() & {"url", "active"}:
            # Whoever mends an address wants to know at once whether it is right.
            _begin_anew(row.progress)
        if row.url != url or (row.active and not was_active):
            # How long another address failed, or this one before a pause, says nothing of what comes now.
            _forget_failures(row.progress)
        touch(row)
    return public(row, head=head)


def delete(directory: Directory, webhook_id: str, *, revision: int | None = None) -> None:
    """Delete a subscription with its deliveries. Raises DirectoryNotFound, RevisionMismatch."""
    with directory.writing() as session:
        _delete(session, find(session, Webhook, KIND, webhook_id, revision=revision, lock=True))


def delete_of_customer(session: Session, customer_id: str) -> None:
    """Delete the subscriptions of a customer: their addresses may be personal."""
    for row in session.scalars(sa.select(Webhook).where(Webhook.customer_id == customer_id).with_for_update()):
        _delete(session, row)


def rotate_secret(directory: Directory, webhook_id: str, *, overlap_s: float, head: int) -> tuple[dict[str, Any], str]:
    """Give the subscription a new secret; the one before it signs too for `overlap_s`. Raises DirectoryNotFound."""
    secret = _new_secret()
    with directory.writing() as session:
        row = find(session, Webhook, KIND, webhook_id, lock=True)
        row.previous_secret, row.previous_secret_until_us = row.secret, now_us() + round(overlap_s * 1_000_000)
        row.secret = secret
        touch(row)
    return public(row, head=head), secret


def enable(directory: Directory, webhook_id: str, *, head: int) -> dict[str, Any]:
    """Let a subscription that is paused or disabled go on from where it was. Raises DirectoryNotFound."""
    with directory.writing() as session:
        row = find(session, Webhook, KIND, webhook_id, lock=True)
        row.progress.disabled_at_us = row.progress.disabled_reason = None
        _forget_failures(row.progress)
        _begin_anew(row.progress)
        row.active = True
        touch(row)
    return public(row, head=head)


def replay(directory: Directory, webhook_id: str, from_position: int, *, head: int) -> dict[str, Any]:
    """Let a subscription go on with the event at a position, earlier or later. Raises DirectoryNotFound, BadField."""
    if from_position > head + 1:
        raise BadField(pointer="/from_position", problem=f"the log ends at position {head}")
    with directory.writing() as session:
        row = find(session, Webhook, KIND, webhook_id, lock=True)
        progress = row.progress
        progress.position, progress.parts = from_position - 1, 0
        _begin_anew(progress)
    return public(row, head=head)


def go_back(connection: sa.Connection, head: int) -> None:
    """Let no subscription be further than the log, as after a restore: what is recorded next would be left out."""
    condition = WebhookProgress.position > head
    connection.execute(sa.update(WebhookProgress).where(condition).values(position=head, parts=0))


def ask_for_ping(directory: Directory, webhook_id: str) -> str:
    """Have a `ping` sent, whatever the subscription's state; return its message's id. Raises DirectoryNotFound."""
    with directory.writing() as session:
        row = find(session, Webhook, KIND, webhook_id, lock=True)
        message_id = new_id("ping")
        row.progress.ping = message_id
    return message_id


def public(row: Webhook, *, head: int) -> dict[str, Any]:
    """Return the subscription as clients see it."""
    progress = row.progress
    is_waiting = progress.failures > 0 and row.active and progress.disabled_at_us is None
    until_us = row.previous_secret_until_us
    return {
        "id": row.id,
        "url": row.url,
        "description": row.description,
        "event_types": json.loads(row.event_types),
        "customer_id": row.customer_id,
        "active": bool(row.active),
        "state": _state(row),
        "position": progress.position,
        "lag_events": max(0, head - progress.position),
        "failures": progress.failures,
        "failing_since": _time(progress.failing_since_us),
        "last_code": progress.last_code,
        "next_try_at": _time(progress.due_at_us) if is_waiting and progress.due_at_us else None,
        "last_delivered_at": _time(progress.last_delivered_at_us),
        "disabled_at": _time(progress.disabled_at_us),
        "disabled_reason": progress.disabled_reason,
        "previous_secret_until": _time(until_us) if until_us is not None and until_us > now_us() else None,
        **stamped(row),
    }


def _state(row: Webhook) -> str:
    if row.progress.disabled_at_us is not None:
        return DISABLED
    if not row.active:
        return PAUSED
    return FAILING if row.progress.failures > 0 else DELIVERING


def _delete(session: Session, row: Webhook) -> None:
    # With its progress locked, as it is read together with the row, nobody records another attempt.
    session.execute(sa.delete(WebhookDelivery).where(WebhookDelivery.webhook_id == row.id))
    session.delete(row)


def _forget_failures(progress: WebhookProgress) -> None:
    progress.failing_since_us = progress.last_code = None
    progress.failures = 0


def _begin_anew(progress: WebhookProgress) -> None:
    """Make it due for anyone: whoever delivers just now must not put its own position, or its failure, over this."""
    progress.fence += 1
    progress.runner, progress.lease_until_us, progress.due_at_us = NO_RUNNER, 0, 0


def _stored_types(names: Sequence[str]) -> str:
    return json.dumps(list(dict.fromkeys(names)))


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def _time(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)
