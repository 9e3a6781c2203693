"""The settings of the agent, the executors it calls, the supervisor and the sweeper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ledger.executor_settings import TIMEOUT_S_MAX
from ledger.settings import boolean, integer, read_settings, seconds, setting

LEASE_CALLS_PART = 0.8
"""The part of a lease within which its calls end; the rest is for recording what they came to."""
RUN_S = 19.0
"""Longest run of one agent job; RQ's own limit (job_timeout) is above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How orders are claimed and executed, and how often things left undone are looked for."""

    lease_s: float = setting(
        "LEASE_S", seconds(1, 3_600), 30.0, "an agent's claim to an order, in seconds; after it another takes over"
    )
    executor_timeout_s: float = setting(
        "EXECUTOR_TIMEOUT_S",
        seconds(0.1, TIMEOUT_S_MAX),
        10.0,
        "deadline of one call to an executor, its answer included, at most half of LEASE_S; in seconds",
    )
    executor_allow_private: bool = setting(
        "EXECUTOR_ALLOW_PRIVATE", boolean, False, "may executors be at private, loopback or link-local addresses"
    )
    executor_backoff_s: float = setting(
        "EXECUTOR_BACKOFF_S",
        seconds(0.05, 60),
        0.5,
        "wait before asking again after the first answer that says nothing, in seconds",
    )
    executor_backoff_max_s: float = setting(
        "EXECUTOR_BACKOFF_MAX_S",
        seconds(0.05, 3_600),
        15.0,
        "longest such wait; waits double up to it, with jitter, in seconds",
    )
    executor_poll_s: float = setting(
        "EXECUTOR_POLL_S", seconds(0.05, 60), 1.0, "wait before asking again after the first 'executing', in seconds"
    )
    executor_poll_max_s: float = setting(
        "EXECUTOR_POLL_MAX_S", seconds(0.05, 3_600), 10.0, "longest such wait; waits grow up to it, in seconds"
    )
    executor_retry_after_max_s: float = setting(
        "EXECUTOR_RETRY_AFTER_MAX_S", seconds(1, 86_400), 300.0, "longest Retry-After that is honoured, in seconds"
    )
    executor_unknowns_max: int = setting(
        "EXECUTOR_UNKNOWNS_MAX",
        integer(1, 1_000_000),
        5_000,
        "answers in a row that say nothing before the order is parked for a person",
    )
    agent_calls_max: int = setting(
        "AGENT_CALLS_MAX", integer(1, 1_000), 128, "calls to executors in flight in one agent process"
    )
    agent_processes: int = setting("AGENT_PROCESSES", integer(1, 64), 1, "agent processes of one `worker agent`")
    sweep_interval_s: float = setting(
        "SWEEP_INTERVAL_S",
        seconds(0.1, 600),
        2.0,
        "how often projections behind and orders due are looked for, in seconds",
    )
    sweep_slow_interval_s: float = setting(
        "SWEEP_SLOW_INTERVAL_S",
        seconds(0.1, 3_600),
        30.0,
        "how often directory and claims are put in order, in seconds",
    )
    stop_timeout_s: float = setting(
        "STOP_TIMEOUT_S",
        seconds(0.1, 600),
        25.0,
        "how long a worker may take to finish its job when told to stop, in seconds",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> WorkerSettings:
        """Build the settings from environment variables. Raises BadSetting."""
        return read_settings(cls, environment)

    @property
    def call_s_max(self) -> float:
        """The longest deadline that one call can have, whatever a product's settings ask for, in seconds.

        A call must end before its lease does, with time to record what it came to.
        """
        return min(TIMEOUT_S_MAX, self.lease_s / 2)

    @property
    def calls_s_max(self) -> float:
        """How long after taking a claim all of its calls have ended, in seconds."""
        return self.lease_s * LEASE_CALLS_PART
