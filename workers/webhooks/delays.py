"""How long to wait before trying a message again: growing, with jitter, honouring what the receiver asks for."""

from __future__ import annotations

import random

from ledger.webhooks.settings import WebhookSettings

GROWTH = 2.0
GROWTH_STEPS_MAX = 40
JITTER_MIN = 0.5


def after_failure_s(failures: int, retry_after_s: float | None, settings: WebhookSettings) -> float:
    """Return the wait after the `failures`-th failure in a row."""
    longest_s = min(settings.backoff_max_s, settings.backoff_s * GROWTH ** min(failures - 1, GROWTH_STEPS_MAX))
    wait_s = longest_s * random.uniform(JITTER_MIN, 1.0)
    return wait_s if retry_after_s is None else max(wait_s, min(retry_after_s, settings.retry_after_max_s))
