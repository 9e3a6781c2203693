"""The types of messages: every event's, `balance.low`, and `ping`, which nobody subscribes to."""

from __future__ import annotations

from ledger.events import EVENT_CLASSES

BALANCE_LOW = "balance.low"
PING = "ping"
SUBSCRIBABLE = (*EVENT_CLASSES, BALANCE_LOW)
"""What a subscription may ask for."""
