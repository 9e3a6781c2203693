"""One message to one receiver: a signed POST, and what its answer means.

Only 2xx is a delivery. Redirects are not followed; of an answer's body nothing is kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog

from ledger.webhooks.settings import WebhookSettings
from ledger.webhooks.urls import url_problem
from workers.executors.addresses import AddressRefused
from workers.executors.answers import retry_after_s
from workers.executors.call import Answer, NoAnswer, Request, call
from workers.executors.connections import Connections
from workers.figures import WEBHOOK_S
from workers.signatures import signature_headers
from workers.webhooks.messages import Message
from workers.webhooks.subscriptions import Subscription

DELIVERED = "delivered"
ADDRESS_REFUSED = "address-refused"
CALL_BROKEN = "call-broken"
GONE = 410

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a call; `code` names it."""

    code: str
    status: int | None
    duration_ms: int
    retry_after_s: float | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has the message."""
        return self.code == DELIVERED

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more."""
        return self.status == GONE


def send(message: Message, subscription: Subscription, settings: WebhookSettings, connections: Connections) -> Result:
    """Send the message once, within the deadline of one call."""
    began_s = time.monotonic()
    try:
        code, status, retry_s = _sent(message, subscription, settings, connections)
    except Exception:  # noqa: BLE001 - The edge of a call: whatever its answer does to us is a failure like others.
        _log.exception("webhook-call-broken", webhook=subscription.id, message_id=message.id)
        code, status, retry_s = CALL_BROKEN, None, None
    took_s = time.monotonic() - began_s
    WEBHOOK_S.labels(DELIVERED if code == DELIVERED else "failed").observe(took_s)
    return Result(code=code, status=status, duration_ms=round(took_s * 1_000), retry_after_s=retry_s)


def _sent(
    message: Message, subscription: Subscription, settings: WebhookSettings, connections: Connections
) -> tuple[str, int | None, float | None]:
    # The rules may have become stricter since the address was accepted.
    if url_problem(subscription.url, allow_private=settings.allow_private) is not None:
        return ADDRESS_REFUSED, None, None
    headers = {
        "Content-Type": "application/json",
        **signature_headers(subscription.keys, message.id, message.body),
    }
    request = Request(method="POST", url=subscription.url, headers=headers, body=message.body)
    try:
        answer = call(
            request,
            timeout_s=settings.call_s_max,
            allow_private=settings.allow_private,
            connections=connections,
        )
    except AddressRefused:
        return ADDRESS_REFUSED, None, None
    except NoAnswer as error:
        # Of an answer that is too large the status is enough.
        return error.problem if error.status is None else _code_of(error.status), error.status, None
    return _code_of(answer.status), answer.status, _wait_asked_for(answer)


def _code_of(status: int) -> str:
    return DELIVERED if 200 <= status <= 299 else f"http-{status}"


def _wait_asked_for(answer: Answer) -> float | None:
    return None if 200 <= answer.status <= 299 else retry_after_s(answer.headers)
