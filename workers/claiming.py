"""Claiming: take what is due, find each order's executor, and say what must be in the log before anyone is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from ledger.clock import now_us
from ledger.errors import NotFound
from ledger.submission import Submission
from workers.candidates import Candidate
from workers.claims import ENDED, Claims
from workers.executors.protocol import Executor, UnusableExecutor
from workers.executors.registry import Executors
from workers.records import park_submission, start_submission
from workers.settings import WorkerSettings
from workers.starts import address_of
from workers.steps import ALTERED, EXECUTOR_CHANGED, UNAVAILABLE

ExecutorLookup = Callable[[str], tuple[str, Mapping[str, Any]] | None]
"""From a product's sku to its executor's name and settings, as the directory has them."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Claimed:
    """What a turn claimed, at a time of the monotonic clock.

    `going_on` may be called about at once, `starting` once their starts are in the log; `parking` goes to a person;
    `ended` only had a claim left.
    """

    at_s: float = 0.0
    going_on: list[tuple[Candidate, Executor]] = field(default_factory=list)
    starting: list[tuple[Candidate, Executor]] = field(default_factory=list)
    starts: list[Submission] = field(default_factory=list)
    parking: dict[str, Submission] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)


class Claiming:
    """Claims for one runner, whose name is part of the starts' keys: another's start of the same attempt is not ours."""

    def __init__(self, claims: Claims, runner: str, executor_of: ExecutorLookup, settings: WorkerSettings) -> None:
        self._claims = claims
        self._runner = runner
        self._executor_of = executor_of
        self._executors = Executors(settings)
        self._lease_us = int(settings.lease_s * 1_000_000)

    def claim(self, limit: int) -> Claimed:
        """Claim up to `limit` orders that are due. Raises what a database raises."""
        candidates = self._claims.due(now_us(), limit)
        if not candidates:
            return Claimed()
        executors = {sku: self._executor_found(sku) for sku in {each.order.product for each in candidates}}
        claimed = Claimed(at_s=time.monotonic())
        self._sort(self._claims.take(candidates, lease_until_us=now_us() + self._lease_us), executors, claimed)
        return claimed

    def _sort(
        self,
        ours: Sequence[Candidate],
        executors: Mapping[str, tuple[str, Mapping[str, Any]] | None],
        claimed: Claimed,
    ) -> None:
        for each in ours:
            order_id = each.order.order_id
            if each.order.status in ENDED:
                claimed.ended.append(order_id)
                continue
            found = executors[each.order.product]
            try:
                name, executor = self._opened(each, found)
            except UnusableExecutor as error:
                _log.warning("order-parked", order_id=order_id, code=str(error), correlation_id=each.correlation_id)
                claimed.parking[order_id] = park_submission(each, each.order.attempt, str(error))
                continue
            candidate = replace(each, address=None if found is None else address_of(found[1]))
            if each.goes_on:
                claimed.going_on.append((candidate, executor))
            else:
                claimed.starting.append((candidate, executor))
                claimed.starts.append(start_submission(candidate, name, self._runner))

    def _executor_found(self, sku: str) -> tuple[str, Mapping[str, Any]] | None:
        try:
            return self._executor_of(sku)
        except NotFound:
            return None

    def _opened(self, candidate: Candidate, found: tuple[str, Mapping[str, Any]] | None) -> tuple[str, Executor]:
        """Return the name and executor of a candidate. Raises UnusableExecutor with the code to park it under."""
        if candidate.details is None:
            raise UnusableExecutor(ALTERED)
        if found is None:
            raise UnusableExecutor(UNAVAILABLE)
        name, settings = found
        # Another system cannot say what became of an order that was given to this one.
        if candidate.order.executor not in (None, name):
            raise UnusableExecutor(EXECUTOR_CHANGED)
        try:
            return name, self._executors.open(name, settings)
        except BaseException as error:  # noqa: BLE001 - A package may do anything when it is opened, also sys.exit.
            says_why = isinstance(error, UnusableExecutor)
            _log.warning(
                "executor-unusable",
                executor=name,
                product=candidate.order.product,
                problem=str(error) if says_why else type(error).__name__,
                order_id=candidate.order.order_id,
                correlation_id=candidate.correlation_id,
                exc_info=not says_why,
            )
            raise UnusableExecutor(UNAVAILABLE) from None
