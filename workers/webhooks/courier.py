"""The courier: claims subscriptions that have something to get, and has their messages sent.

Claims and what came of them are the business of one thread, which records for all subscriptions in one commit; messages
are sent in a bounded pool of threads, one subscription's by one thread at a time, so that a slow receiver holds up
nobody else. Whether a subscription has anything to get is looked up in the log's blocks before it is claimed.
"""

from __future__ import annotations

import queue
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import sqlalchemy as sa
import structlog

from ledger.clock import now_us
from ledger.errors import LedgerError
from ledger.ids import new_id
from ledger.webhooks.settings import WebhookSettings
from workers.executors.connections import Connections
from workers.webhooks import subscriptions
from workers.webhooks.messages import messages_of
from workers.webhooks.reading import LogBlocks
from workers.webhooks.subscriptions import Claims, Progress, Subscription
from workers.webhooks.turns import Turn

LOOKED_AT_MAX = 5_000
"""Subscriptions that are looked at in one turn."""
LOOKED_AT_EVENTS_MAX = 2_000
"""Events that are looked through for one subscription in one turn."""
SKIP_EVENTS, SKIP_S = 1_000, 5.0
"""How far, and how long, a subscription may be past events that it does not want before that is noted."""
CONNECTIONS_MAX = 1_000
POLL_S = 0.25
NAP_S_MAX = 1.0
"""A due time that is nearer than this is waited for in the job; others are the sweeper's."""
FAILURE_PAUSE_S = 1.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Seen:
    """How far a subscription was looked through in vain, under its fence and revision."""

    fence: int
    revision: int
    position: int
    noted_at_s: float


class Courier:
    """Delivers for one process. Not thread-safe: everything but `wake` is called from one thread."""

    def __init__(self, *, log_engine: sa.Engine, directory_engine: sa.Engine, settings: WebhookSettings) -> None:
        self.runner = new_id("run")
        self.blocks = LogBlocks(log_engine, directory_engine)
        self._directory_engine = directory_engine
        self._settings = settings
        self._claims = Claims(directory_engine, self.runner)
        self._calls = ThreadPoolExecutor(settings.calls_max, thread_name_prefix="webhook-call")
        self._found: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._under_way: dict[str, float] = {}
        self._unrecorded: list[Progress] = []
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._connections: OrderedDict[str, Connections] = OrderedDict()
        self._is_stopping = False

    @property
    def in_flight(self) -> int:
        """How many subscriptions are being delivered to, or have progress that is not recorded yet."""
        return len(self._under_way) + len(self._unrecorded)

    def advance(self, *, claiming: bool) -> float | None:
        """Take a turn and return how long to wait for the next, None when nothing is under way or due soon."""
        try:
            found_more = self.turn(claiming=claiming)
            if found_more:
                return 0.0
            if self.in_flight:
                return POLL_S
            return self._nap_s() if claiming else None
        except (sa.exc.SQLAlchemyError, LedgerError) as error:
            _log.warning("webhooks-without-database", error=type(error).__name__)
            return FAILURE_PAUSE_S

    def turn(self, *, claiming: bool) -> bool:
        """Record what was delivered and, if asked, begin what is due; say whether there is more to look through."""
        self._gather()
        head = self.blocks.head()
        self._go_on(self._record(head, claiming=claiming), head)
        return self._claim(head) if claiming and not self._is_stopping else False

    def wake(self) -> None:
        """End a wait; may be called from any thread."""
        self._found.put(None)

    def wait(self, wait_s: float) -> None:
        """Wait until a turn of delivering ends, someone wakes the courier, or the time is over."""
        try:
            self._keep(self._found.get(timeout=wait_s))
        except queue.Empty:
            return

    def close(self) -> None:
        """Let the calls under way end, record what they came to, and start nothing more."""
        self._is_stopping = True
        ends_at_s = time.monotonic() + self._settings.lease_s
        while time.monotonic() < ends_at_s and (wait_s := self.advance(claiming=False)) is not None:
            self.wait(wait_s)
        self._calls.shutdown(wait=False, cancel_futures=True)

    # -- what is due --------------------------------------------------------------------------------------------------

    def _claim(self, head: int) -> bool:
        free = self._settings.calls_max - len(self._under_way)
        if free <= 0:
            return False
        now = now_us()
        wanted: list[Subscription] = []
        skips: dict[str, tuple[int, int]] = {}
        has_more = False
        for each in self._claims.due(now, head, LOOKED_AT_MAX):
            if each.id in self._under_way:
                continue
            position, has_something = self._look(each, head)
            if has_something:
                wanted.append(each)
                if len(wanted) == free:
                    break
            elif self._is_to_note(each, position, head):
                skips[each.id] = (each.fence, position)
            has_more = has_more or (not has_something and position < head)
        if skips:
            self._claims.skip(skips)
        if wanted:
            lease_ends_at_s = time.monotonic() + self._settings.lease_s
            lease_until_us = now_us() + round(self._settings.lease_s * 1_000_000)
            self._begin(
                self._claims.take(wanted, now_us=now_us(), lease_until_us=lease_until_us), head, lease_ends_at_s
            )
        return has_more

    def _look(self, subscription: Subscription, head: int) -> tuple[int, bool]:
        """Look for something to send; return the position before it, or up to which there is nothing."""
        if subscription.ping is not None or subscription.parts > 0:
            return subscription.position, True
        seen = self._seen.get(subscription.id)
        if seen is None or (seen.fence, seen.revision) != (subscription.fence, subscription.revision):
            seen = _Seen(subscription.fence, subscription.revision, subscription.position, time.monotonic())
            self._seen[subscription.id] = seen
        self._seen.move_to_end(subscription.id)
        while len(self._seen) > LOOKED_AT_MAX:
            self._seen.popitem(last=False)
        position = max(seen.position, subscription.position)
        end = min(head, position + LOOKED_AT_EVENTS_MAX)
        while position < end:
            stretch = self.blocks.after(position, head)
            if not stretch.entries:
                break
            for entry in stretch.entries:
                if next(messages_of(entry, subscription, stretch.threshold_of), None) is not None:
                    return position, True
                position = seen.position = entry.event.position
        return position, False

    def _is_to_note(self, subscription: Subscription, position: int, head: int) -> bool:
        """Say whether the database must be told how far the subscription is.

        Not at each event: a subscription of one customer sees thousands of others' events go by.
        """
        seen = self._seen[subscription.id]
        is_far = position - subscription.position >= SKIP_EVENTS
        is_long = position > subscription.position and time.monotonic() - seen.noted_at_s >= SKIP_S
        if is_far or is_long:
            seen.noted_at_s = time.monotonic()
        return is_far or is_long

    def _nap_s(self) -> float | None:
        """Return how long to wait for the next due time, None when none is near."""
        now = now_us()
        due_us = subscriptions.next_due_us(self._directory_engine, now)
        if due_us is None:
            return None
        wait_s = (due_us - now) / 1_000_000
        return max(wait_s, 0.0) if wait_s < NAP_S_MAX else None

    # -- delivering ---------------------------------------------------------------------------------------------------

    def _begin(self, claimed: Sequence[Subscription], head: int, lease_ends_at_s: float) -> None:
        for each in claimed:
            self._under_way[each.id] = lease_ends_at_s
            turn = Turn(
                blocks=self.blocks,
                settings=self._settings,
                connections=self._connections_of(each.id),
                calls_end_at_s=lease_ends_at_s - self._settings.call_s_max,
                is_stopping=lambda: self._is_stopping,
            )
            self._calls.submit(self._take, turn, each, head)

    def _take(self, turn: Turn, subscription: Subscription, head: int) -> None:
        progress = Progress.of(subscription)
        try:
            turn.take(subscription, progress, head)
        except (sa.exc.SQLAlchemyError, LedgerError) as error:
            self._give_up(subscription, progress, error)
        except Exception as error:  # noqa: BLE001 - The edge of a thread: one subscription must not stop the others.
            _log.exception("webhook-turn-failed", webhook=subscription.id)
            self._give_up(subscription, progress, error)
        self._found.put(progress)

    def _give_up(self, subscription: Subscription, progress: Progress, error: Exception) -> None:
        _log.warning("webhook-turn-given-up", webhook=subscription.id, error=type(error).__name__)
        progress.is_released = True
        progress.due_at_us = now_us() + round(FAILURE_PAUSE_S * 1_000_000)

    def _connections_of(self, webhook_id: str) -> Connections:
        found = self._connections.setdefault(webhook_id, Connections())
        self._connections.move_to_end(webhook_id)
        while len(self._connections) > CONNECTIONS_MAX:
            self._connections.popitem(last=False)
        return found

    # -- recording ----------------------------------------------------------------------------------------------------

    def _record(self, head: int, *, claiming: bool) -> tuple[list[Subscription], float]:
        """Record what came back; return the subscriptions that go on, and when their leases end."""
        lease_ends_at_s = time.monotonic() + self._settings.lease_s
        if not self._unrecorded:
            return [], lease_ends_at_s
        goes_on = claiming and not self._is_stopping
        is_crowded = goes_on and self._is_crowded(head)
        now = now_us()
        for each in self._unrecorded:
            each.is_released = each.is_released or not goes_on or is_crowded
            if is_crowded:
                # Behind all that wait already, also when there is news for it at once.
                each.due_at_us = max(each.due_at_us, now)
        lease_until_us = now + round(self._settings.lease_s * 1_000_000)
        going_on = self._claims.record(self._unrecorded, now_us=now, lease_until_us=lease_until_us)
        self._tell(self._unrecorded)
        self._unrecorded = []
        return going_on, lease_ends_at_s

    def _is_crowded(self, head: int) -> bool:
        """Say whether every place is taken, those of who came back too, while others wait for one."""
        return self.in_flight >= self._settings.calls_max and subscriptions.is_work_due(
            self._directory_engine, now_us(), head
        )

    def _go_on(self, recorded: tuple[list[Subscription], float], head: int) -> None:
        going_on, lease_ends_at_s = recorded
        self._begin(going_on, head, lease_ends_at_s)

    def _tell(self, found: Sequence[Progress]) -> None:
        for each in found:
            if each.disabled_reason is not None:
                _log.warning("webhook-disabled", webhook=each.webhook_id, reason=each.disabled_reason)

    def _gather(self) -> None:
        while True:
            try:
                progress = self._found.get_nowait()
            except queue.Empty:
                return
            self._keep(progress)

    def _keep(self, progress: Progress | None) -> None:
        if progress is not None:
            self._under_way.pop(progress.webhook_id, None)
            self._unrecorded.append(progress)
