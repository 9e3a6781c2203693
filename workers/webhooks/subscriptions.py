"""Subscriptions as who delivers sees them, and claims to them: an exclusive, expiring right to deliver, and to say how far.

A claim is a row of webhook_progress with a runner and a lease in the future. Taking one compares and raises the fence;
whoever comes back after its lease, after a replay, a deletion, or a change of the address, has another fence and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ledger.directory.models import Webhook, WebhookDelivery, WebhookProgress
from ledger.directory.webhooks import NO_RUNNER
from ledger.executor_settings import secret_bytes

_WEBHOOK: Any = Webhook.__table__
_PROGRESS: Any = WebhookProgress.__table__
_DELIVERY: Any = WebhookDelivery.__table__


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription and how far it is; `keys` sign, the newest first."""

    id: str
    url: str
    types: frozenset[str]
    customer_id: str | None
    keys: tuple[bytes, ...] = field(repr=False)
    revision: int
    is_on: bool
    position: int
    parts: int
    failures: int
    failing_since_us: int | None
    due_at_us: int
    ping: str | None
    fence: int

    def wants(self, type_name: str) -> bool:
        """Say whether it asks for messages of a type."""
        return not self.types or type_name in self.types


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call: `code` is `delivered` or what went wrong; `attempt` counts those of the message in a row, from 1."""

    id: str
    message_id: str
    type: str
    position: int | None
    attempt: int
    code: str
    status: int | None
    duration_ms: int
    attempted_at_us: int
    next_try_at_us: int | None


@dataclass(slots=True, kw_only=True)
class Progress:
    """What came of delivering for a while, under the claim's fence; what is None at the end stays as it was."""

    webhook_id: str
    fence: int
    position: int
    parts: int
    failures: int
    failing_since_us: int | None
    due_at_us: int
    last_code: str | None = None
    delivered_at_us: int | None = None
    disabled_reason: str | None = None
    ping_done: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    is_released: bool = True

    @classmethod
    def of(cls, subscription: Subscription) -> Progress:
        """Return the progress of who has done nothing yet."""
        return cls(
            webhook_id=subscription.id,
            fence=subscription.fence,
            position=subscription.position,
            parts=subscription.parts,
            failures=subscription.failures,
            failing_since_us=subscription.failing_since_us,
            due_at_us=subscription.due_at_us,
        )


class Claims:
    """The claims of one runner. `runner` is a name that no other process has had."""

    def __init__(self, engine: sa.Engine, runner: str) -> None:
        self._engine = engine
        self._writing = engine.execution_options(write=True)
        self._runner = runner

    def due(self, now_us: int, head: int, limit: int) -> list[Subscription]:
        """Return up to `limit` subscriptions that nobody delivers to and that may have something to get."""
        query = _select(now_us).where(is_due(now_us, head)).order_by(_PROGRESS.c.due_at_us, _PROGRESS.c.webhook_id)
        with self._engine.connect() as connection:
            return [_subscription(row, now_us) for row in connection.execute(query.limit(limit))]

    def take(self, wanted: Sequence[Subscription], *, now_us: int, lease_until_us: int) -> list[Subscription]:
        """Claim them; return those that were still as seen, as they are now, under their new fence."""
        seen = {each.id: each.fence for each in wanted}
        with self._writing.begin() as connection:
            free = [
                row.webhook_id
                for row in connection.execute(_locked(seen))
                if row.fence == seen[row.webhook_id] and row.lease_until_us <= now_us
            ]
            if not free:
                return []
            connection.execute(
                sa.update(_PROGRESS)
                .where(_PROGRESS.c.webhook_id.in_(free))
                .values(runner=self._runner, fence=_PROGRESS.c.fence + 1, lease_until_us=lease_until_us)
            )
            return self._read(connection, free, now_us)

    def record(self, found: Sequence[Progress], *, now_us: int, lease_until_us: int) -> list[Subscription]:
        """Record progress as far as the claims are still ours; return those that go on, as they are now."""
        by_id = {each.webhook_id: each for each in found}
        with self._writing.begin() as connection:
            ours = [
                (by_id[row.webhook_id], row)
                for row in connection.execute(_locked(by_id))
                if row.fence == by_id[row.webhook_id].fence and row.runner == self._runner
            ]
            for each, row in ours:
                values = _values(each, row, now_us, lease_until_us)
                connection.execute(sa.update(_PROGRESS).where(_PROGRESS.c.webhook_id == each.webhook_id).values(values))
            attempts = [
                {"webhook_id": each.webhook_id, **_columns(attempt)} for each, _ in ours for attempt in each.attempts
            ]
            if attempts:
                connection.execute(sa.insert(_DELIVERY), attempts)
            going_on = [each.webhook_id for each, _ in ours if not each.is_released]
            return self._read(connection, going_on, now_us) if going_on else []

    def skip(self, positions: dict[str, tuple[int, int]]) -> None:
        """Note positions up to which there is nothing to send, by id with the fence, where nobody claimed meanwhile."""
        with self._writing.begin() as connection:
            for row in connection.execute(_locked(positions)).all():
                fence, position = positions[row.webhook_id]
                if row.fence == fence and position > row.position:
                    connection.execute(
                        sa.update(_PROGRESS)
                        .where(_PROGRESS.c.webhook_id == row.webhook_id)
                        .values(position=position, parts=0)
                    )

    def _read(self, connection: sa.Connection, ids: Iterable[str], now_us: int) -> list[Subscription]:
        query = _select(now_us).where(_WEBHOOK.c.id.in_(sorted(ids)))
        return [_subscription(row, now_us) for row in connection.execute(query)]


def is_due(now_us: int, head: int) -> sa.ColumnElement[bool]:
    """Return the condition for subscriptions that want somebody to look at them now."""
    is_on = sa.and_(_WEBHOOK.c.active == 1, _PROGRESS.c.disabled_at_us.is_(None))
    has_events = sa.and_(is_on, _PROGRESS.c.position < head, _PROGRESS.c.due_at_us <= now_us)
    found: sa.ColumnElement[bool] = sa.and_(
        _PROGRESS.c.lease_until_us <= now_us, sa.or_(has_events, _PROGRESS.c.ping.is_not(None))
    )
    return found


def is_work_due(engine: sa.Engine, now_us: int, head: int) -> bool:
    """Say whether any subscription wants somebody to look at it."""
    query = _joined(sa.select(_WEBHOOK.c.id)).where(is_due(now_us, head)).limit(1)
    with engine.connect() as connection:
        return connection.execute(query).first() is not None


def next_due_us(engine: sa.Engine, now_us: int) -> int | None:
    """Return when the next subscription that waits to try again is due, None when none waits."""
    waiting = (_WEBHOOK.c.active == 1, _PROGRESS.c.disabled_at_us.is_(None), _PROGRESS.c.due_at_us > now_us)
    with engine.connect() as connection:
        found: int | None = connection.execute(
            _joined(sa.select(sa.func.min(_PROGRESS.c.due_at_us))).where(*waiting)
        ).scalar()
    return found


def _joined(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.select_from(_WEBHOOK.join(_PROGRESS, _PROGRESS.c.webhook_id == _WEBHOOK.c.id))


def _select(now_us: int) -> sa.Select[Any]:
    return _joined(
        sa.select(
            _WEBHOOK.c.id, _WEBHOOK.c.url, _WEBHOOK.c.event_types, _WEBHOOK.c.customer_id, _WEBHOOK.c.active,
            _WEBHOOK.c.secret, _WEBHOOK.c.previous_secret, _WEBHOOK.c.previous_secret_until_us, _WEBHOOK.c.revision,
            _PROGRESS.c.position, _PROGRESS.c.parts, _PROGRESS.c.failures, _PROGRESS.c.failing_since_us,
            _PROGRESS.c.disabled_at_us, _PROGRESS.c.due_at_us, _PROGRESS.c.ping, _PROGRESS.c.fence,
        )
    )  # fmt: skip


def _subscription(row: Any, now_us: int) -> Subscription:
    secrets = [row.secret]
    if row.previous_secret is not None and row.previous_secret_until_us > now_us:
        secrets.append(row.previous_secret)
    return Subscription(
        id=row.id,
        url=row.url,
        types=frozenset(json.loads(row.event_types)),
        customer_id=row.customer_id,
        keys=tuple(secret_bytes(each) for each in secrets),
        revision=row.revision,
        is_on=bool(row.active) and row.disabled_at_us is None,
        position=row.position,
        parts=row.parts,
        failures=row.failures,
        failing_since_us=row.failing_since_us,
        due_at_us=row.due_at_us,
        ping=row.ping,
        fence=row.fence,
    )


def _locked(ids: Iterable[str]) -> sa.Select[Any]:
    columns = (_PROGRESS.c.webhook_id, _PROGRESS.c.position, _PROGRESS.c.runner, _PROGRESS.c.fence, _PROGRESS.c.ping)
    return (
        sa.select(*columns, _PROGRESS.c.lease_until_us)
        .where(_PROGRESS.c.webhook_id.in_(sorted(ids)))
        .order_by(_PROGRESS.c.webhook_id)
        .with_for_update()
    )


def _values(each: Progress, row: Any, now_us: int, lease_until_us: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "position": each.position,
        "parts": each.parts,
        "failures": each.failures,
        "failing_since_us": each.failing_since_us,
        "due_at_us": each.due_at_us,
        "lease_until_us": 0 if each.is_released else lease_until_us,
        "runner": NO_RUNNER if each.is_released else row.runner,
    }
    if each.last_code is not None:
        values["last_code"] = each.last_code
    if each.delivered_at_us is not None:
        values["last_delivered_at_us"] = each.delivered_at_us
    if each.disabled_reason is not None:
        values |= {"disabled_at_us": now_us, "disabled_reason": each.disabled_reason}
    # Another ping may have been asked for while this one was sent.
    if each.ping_done is not None and row.ping == each.ping_done:
        values["ping"] = None
    return values


def _columns(attempt: Attempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in Attempt.__slots__}
