"""A turn of delivering to one subscription: message after message, in log order, until one fails or the turn is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ledger.clock import now_us
from ledger.directory.webhooks import FAILED_TOO_LONG, GONE
from ledger.ids import new_id
from ledger.webhooks.settings import WebhookSettings
from workers.executors.connections import Connections
from workers.webhooks.delays import after_failure_s
from workers.webhooks.messages import Message, messages_of, ping_message
from workers.webhooks.reading import LogBlocks
from workers.webhooks.sending import DELIVERED, Result, send
from workers.webhooks.subscriptions import Attempt, Progress, Subscription

TURN_S_MAX = 0.5
"""How long messages are sent before what came of them is recorded: after a crash so much is sent again."""
TURN_MESSAGES_MAX = 1_000
TURN_EVENTS_MAX = 10_000
"""Events that one turn looks through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn works with: no call begins after `calls_end_at_s` (monotonic) or `is_stopping`."""

    blocks: LogBlocks
    settings: WebhookSettings
    connections: Connections
    calls_end_at_s: float
    is_stopping: Callable[[], bool]

    def take(self, subscription: Subscription, progress: Progress, head: int) -> None:
        """Deliver, and write what comes of it into the progress."""
        if subscription.ping is not None:
            self._ping(subscription, progress)
        # A ping goes out whatever the state is; events only when they are due.
        if subscription.is_on and subscription.due_at_us <= now_us():
            progress.due_at_us = 0
            self._deliver(subscription, progress, head)

    def _ping(self, subscription: Subscription, progress: Progress) -> None:
        message = ping_message(str(subscription.ping), subscription.id, now_us())
        result = send(message, subscription, self.settings, self.connections)
        progress.attempts.append(_attempt(message, 1, result, None))
        progress.ping_done = subscription.ping

    def _deliver(self, subscription: Subscription, progress: Progress, head: int) -> None:
        ends_at_s = min(time.monotonic() + TURN_S_MAX, self.calls_end_at_s)
        for message in self._messages(subscription, progress, head):
            if len(progress.attempts) >= TURN_MESSAGES_MAX or time.monotonic() >= ends_at_s or self.is_stopping():
                break
            result = send(message, subscription, self.settings, self.connections)
            if not result.is_delivered:
                self._fail(message, result, progress)
                return
            progress.attempts.append(_attempt(message, progress.failures + 1, result, None))
            progress.failures, progress.failing_since_us, progress.last_code = 0, None, DELIVERED
            progress.delivered_at_us = now_us()
            progress.parts = message.part + 1
        progress.is_released = progress.position >= head

    def _messages(self, subscription: Subscription, progress: Progress, head: int) -> Iterator[Message]:
        """Yield what is next; the position moves over an event once all of its messages were taken from here."""
        looked_at = 0
        while progress.position < head and looked_at < TURN_EVENTS_MAX:
            stretch = self.blocks.after(progress.position, head)
            if not stretch.entries:
                return
            for entry in stretch.entries:
                for message in messages_of(entry, subscription, stretch.threshold_of):
                    if message.part >= progress.parts:
                        yield message
                progress.position, progress.parts = entry.event.position, 0
            looked_at += len(stretch.entries)

    def _fail(self, message: Message, result: Result, progress: Progress) -> None:
        now = now_us()
        progress.failures += 1
        progress.last_code = result.code
        since_us = now if progress.failing_since_us is None else progress.failing_since_us
        progress.failing_since_us = since_us
        if result.is_gone:
            progress.disabled_reason = GONE
        elif now - since_us >= self.settings.disable_after_s * 1_000_000:
            progress.disabled_reason = FAILED_TOO_LONG
        wait_s = after_failure_s(progress.failures, result.retry_after_s, self.settings)
        progress.due_at_us = now + round(wait_s * 1_000_000)
        next_try_us = None if progress.disabled_reason else progress.due_at_us
        progress.attempts.append(_attempt(message, progress.failures, result, next_try_us))


def _attempt(message: Message, number: int, result: Result, next_try_at_us: int | None) -> Attempt:
    return Attempt(
        id=new_id("dlv"),
        message_id=message.id,
        type=message.type,
        position=message.position,
        attempt=number,
        code=result.code,
        status=result.status,
        duration_ms=result.duration_ms,
        attempted_at_us=now_us() - result.duration_ms * 1_000,
        next_try_at_us=next_try_at_us,
    )
