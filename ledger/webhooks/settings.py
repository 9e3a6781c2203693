"""The settings of webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.settings import boolean, integer, read_settings, seconds, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where messages may go, how they are retried, and when a subscription is given up."""

    allow_private: bool = setting(
        "WEBHOOKS_ALLOW_PRIVATE",
        boolean,
        False,
        "may webhooks go by http, and to private, loopback or link-local addresses and any port",
    )
    timeout_s: float = setting(
        "WEBHOOKS_TIMEOUT_S",
        seconds(0.1, 60),
        10.0,
        "deadline of one delivery, its answer included, at most half of WEBHOOKS_LEASE_S; in seconds",
    )
    backoff_s: float = setting(
        "WEBHOOKS_BACKOFF_S", seconds(0.05, 3_600), 1.0, "wait after the first failed delivery, in seconds"
    )
    backoff_max_s: float = setting(
        "WEBHOOKS_BACKOFF_MAX_S",
        seconds(0.05, 86_400),
        600.0,
        "longest such wait; waits double up to it, with jitter, in seconds",
    )
    retry_after_max_s: float = setting(
        "WEBHOOKS_RETRY_AFTER_MAX_S", seconds(1, 86_400), 3_600.0, "longest Retry-After that is honoured, in seconds"
    )
    disable_after_s: float = setting(
        "WEBHOOKS_DISABLE_AFTER_S",
        seconds(1, 31_536_000),
        259_200.0,
        "a subscription that has failed for so long without a success is disabled, in seconds (three days)",
    )
    secret_overlap_s: float = setting(
        "WEBHOOKS_SECRET_OVERLAP_S",
        seconds(0, 2_592_000),
        86_400.0,
        "how long the secret before a rotation goes on signing too, in seconds",
    )
    lease_s: float = setting(
        "WEBHOOKS_LEASE_S", seconds(1, 3_600), 30.0, "a process's claim to a subscription; after it another takes over"
    )
    calls_max: int = setting(
        "WEBHOOKS_CALLS_MAX", integer(1, 500), 32, "deliveries in flight in one process, one for a subscription"
    )
    processes: int = setting("WEBHOOKS_PROCESSES", integer(1, 64), 1, "processes of one `worker webhooks`")
    deliveries_kept: int = setting(
        "WEBHOOKS_DELIVERIES_KEPT", integer(1, 1_000_000), 1_000, "attempts of each subscription that are kept"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> WebhookSettings:
        """Build the settings from environment variables. Raises BadSetting."""
        return read_settings(cls, environment)

    @property
    def call_s_max(self) -> float:
        """The deadline of one call: it must end well before its claim does."""
        return min(self.timeout_s, self.lease_s / 2)
