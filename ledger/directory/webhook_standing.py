"""How all subscriptions together stand, for figures and checks."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from ledger import log
from ledger.clock import now_us
from ledger.directory.models import Webhook, WebhookProgress
from ledger.reading import read


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStanding:
    """Counts by state, and how far the furthest of those that are on is behind the log."""

    delivering: int
    failing: int
    paused: int
    disabled: int
    lag_events: int
    lag_s: float


def webhook_standing(directory_engine: sa.Engine, log_engine: sa.Engine) -> WebhookStanding:
    """Return it. Raises ReadUnavailable."""
    is_disabled = WebhookProgress.disabled_at_us.is_not(None)
    is_on = sa.and_(sa.not_(is_disabled), Webhook.active == 1)
    is_failing = sa.and_(is_on, WebhookProgress.failures > 0)
    query = sa.select(
        _count(sa.and_(is_on, WebhookProgress.failures == 0)),
        _count(is_failing),
        _count(sa.and_(sa.not_(is_disabled), Webhook.active == 0)),
        _count(is_disabled),
        sa.func.min(sa.case((is_on, WebhookProgress.position))),
    ).join_from(Webhook, WebhookProgress, WebhookProgress.webhook_id == Webhook.id)
    delivering, failing, paused, disabled, position = read(
        directory_engine, lambda connection: connection.execute(query).one()
    )
    events, seconds = (0, 0.0) if position is None else read(log_engine, lambda connection: _lag(connection, position))
    return WebhookStanding(
        delivering=delivering,
        failing=failing,
        paused=paused,
        disabled=disabled,
        lag_events=events,
        lag_s=seconds,
    )


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count(sa.case((condition, 1)))


def _lag(connection: sa.Connection, position: int) -> tuple[int, float]:
    events = max(0, log.head(connection).position - position)
    first = log.event_at(connection, position + 1) if events else None
    return events, 0.0 if first is None else max(0.0, (now_us() - first.recorded_at_us) / 1_000_000)
