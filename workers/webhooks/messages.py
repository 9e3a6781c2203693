"""Messages: what is sent of an event. Everything follows from the event, the subscription and the customer's threshold, so
that a retry and a replay send the same bytes under the same id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from ledger.clock import rfc3339
from ledger.events import Recorded
from ledger.feed import event_json
from ledger.postings import available
from ledger.webhooks.types import BALANCE_LOW, PING
from workers.webhooks.subscriptions import Subscription

ThresholdOf = Callable[[str], int | None]
"""Return a customer's threshold in minor units, None when it has none."""
SUBSCRIPTION_CHARACTERS = 16
"""How much of a subscription's id is in those of its messages: the end of it, which is random."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: `part` counts those of one event, from 0; a ping has no position."""

    id: str
    type: str
    body: bytes
    position: int | None
    part: int = 0


@dataclass(slots=True)
class Entry:
    """An event on its way out. Its body is the same for all, so it is written once."""

    event: Recorded
    _body: bytes | None = field(default=None, repr=False)
    _change_minor: int | None = None

    def body(self) -> bytes:
        """Return the body of the event's own message."""
        if self._body is None:
            event = self.event
            self._body = _body_of(event.type, event.recorded_at_us, event_json(event))
        return self._body

    def change_minor(self) -> int:
        """Return by how much the event changed the account's available money, in minor units."""
        if self._change_minor is None:
            name = available(self.event.account_id)
            legs = json.loads(self.event.postings)
            self._change_minor = sum(leg["amount_minor"] for leg in legs if leg["account"] == name)
        return self._change_minor


def messages_of(entry: Entry, subscription: Subscription, threshold_of: ThresholdOf) -> Iterator[Message]:
    """Yield what the subscription gets of an event: the event's own message, then that the balance is low by now."""
    event = entry.event
    if subscription.customer_id is not None and event.account_id != subscription.customer_id:
        return
    if subscription.wants(event.type):
        yield Message(id=_id_of(entry, subscription), type=event.type, body=entry.body(), position=event.position)
    if subscription.wants(BALANCE_LOW):
        low = _balance_low(entry, subscription, threshold_of)
        if low is not None:
            yield low


def ping_message(message_id: str, webhook_id: str, at_us: int) -> Message:
    """Return a ping."""
    return Message(id=message_id, type=PING, body=_body_of(PING, at_us, {"webhook_id": webhook_id}), position=None)


def _balance_low(entry: Entry, subscription: Subscription, threshold_of: ThresholdOf) -> Message | None:
    """Return the message when the event takes available money from the threshold, or above, to below it."""
    event, change_minor = entry.event, entry.change_minor()
    if change_minor >= 0:
        return None
    threshold_minor = threshold_of(event.account_id)
    if threshold_minor is None or not event.available_minor < threshold_minor <= event.available_minor - change_minor:
        return None
    data = {
        "position": event.position,
        "event_type": event.type,
        "account_id": event.account_id,
        "order_id": event.order_id,
        "recorded_at": rfc3339(event.recorded_at_us),
        "currency": json.loads(event.postings)[0]["currency"],
        "available_minor": event.available_minor,
        "available_before_minor": event.available_minor - change_minor,
        "threshold_minor": threshold_minor,
    }
    return Message(
        # Another threshold makes another message: under one id there is one body, whenever it is sent.
        id=f"{_id_of(entry, subscription)}_low_{threshold_minor}",
        type=BALANCE_LOW,
        body=_body_of(BALANCE_LOW, event.recorded_at_us, data),
        position=event.position,
        part=1,
    )


def _id_of(entry: Entry, subscription: Subscription) -> str:
    # By the event's id, not its position: after a restore from a backup another event may come to stand there.
    return f"msg_{entry.event.event_id.hex()}_{subscription.id[-SUBSCRIPTION_CHARACTERS:]}"


def _body_of(type_name: str, at_us: int, data: object) -> bytes:
    return _encode({"type": type_name, "timestamp": rfc3339(at_us), "data": data})
