"""Cancellations of executing orders: left to the agent, which asks the executor and posts them under the asker's key."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis
import sqlalchemy as sa

from api.services import Services
from ledger.clock import now_us
from ledger.codec import canonical_json
from ledger.commands import CancelOrder
from ledger.errors import IdempotencyKeyReused, LedgerError, NothingRecorded, OutcomeUnknown
from ledger.schema import cancellation_requests as requests
from ledger.schema import log_head, outcomes
from ledger.submission import Submission, key_digest
from projections.wake import AGENT, wake

TRIES_MAX = 3


def leave_to_the_agent(services: Services, wanted: Sequence[Submission]) -> dict[int, IdempotencyKeyReused | None]:
    """Leave cancellations of executing orders to the agent, and return which were, by the submission's identity.

    One whose key has an outcome is not among them: the ledger answers it. The value is the error of one whose key another
    request waits under. Asking again changes nothing. Raises NothingRecorded, and OutcomeUnknown when a commit was not
    answered, or a key may still have been taken by a command of the same moment.
    """
    left = _requested(services.engine, wanted)
    if left and services.engine.dialect.name != "sqlite":
        left = _still_left(services.engine, wanted)
    with suppress(redis.RedisError):
        # The agent finds the request without a wake-up, too, only later.
        wake(services.queue_redis, AGENT)
    return left


def _requested(engine: sa.Engine, wanted: Sequence[Submission]) -> dict[int, IdempotencyKeyReused | None]:
    """Write down the requests that are missing, and return what is left to the agent."""
    is_in_doubt = False
    for _ in range(TRIES_MAX):
        is_committing = False
        try:
            with engine.execution_options(write=True).connect() as connection:
                left, rows = _sorted_out(connection, wanted)
                if rows:
                    connection.execute(sa.insert(requests), rows)
                    is_committing = True
                    connection.commit()
        except sa.exc.IntegrityError:
            # Somebody else asked under one of the keys at the same moment: it is there now.
            continue
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            is_in_doubt = is_in_doubt or is_committing
            if is_committing:
                continue
            raise _unsettled(is_in_doubt=is_in_doubt) from error
        return left
    raise _unsettled(is_in_doubt=is_in_doubt)


def _still_left(engine: sa.Engine, wanted: Sequence[Submission]) -> dict[int, IdempotencyKeyReused | None]:
    """Return what is left to the agent once no group is under way that has not seen the requests.

    A group that read the keys before the requests were committed may record another command under one. It has the head's
    lock until it ends, and later ones see the requests. On SQLite the two never overlap. The agent forgets a request whose
    key was taken. Raises OutcomeUnknown when the lock does not come in time, for the requests are there.
    """
    try:
        # Without a transaction, which would hold the lock for as long as this process hangs.
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.select(log_head.c.position).where(log_head.c.id == 1).with_for_update())
            left, _ = _sorted_out(connection, wanted)
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise _unsettled(is_in_doubt=True) from error
    return left


def _unsettled(*, is_in_doubt: bool) -> LedgerError:
    if is_in_doubt:
        return OutcomeUnknown(reason="the database did not answer in time")
    return NothingRecorded(reason="the database takes no writes")


def _sorted_out(
    connection: sa.Connection, wanted: Sequence[Submission]
) -> tuple[dict[int, IdempotencyKeyReused | None], list[dict[str, Any]]]:
    """Return what is left to the agent, and the rows that are missing for it."""
    digests = [key_digest(each.actor, each.idempotency_key) for each in wanted]
    answered = set(
        map(bytes, connection.scalars(sa.select(outcomes.c.key_digest).where(outcomes.c.key_digest.in_(digests))))
    )
    asked = sa.select(requests.c.key_digest, requests.c.order_id, requests.c.details)
    waiting = {
        bytes(digest): (order_id, None if details is None else bytes(details))
        for digest, order_id, details in connection.execute(asked.where(requests.c.key_digest.in_(digests)))
    }
    left: dict[int, IdempotencyKeyReused | None] = {}
    rows: list[dict[str, Any]] = []
    for digest, submission in zip(digests, wanted, strict=True):
        if digest in answered:
            continue
        row = _row(digest, submission)
        content = row["order_id"], row["details"]
        if digest not in waiting:
            waiting[digest] = content
            rows.append(row)
        left[id(submission)] = None if waiting[digest] == content else IdempotencyKeyReused()
    return left, rows


def _row(digest: bytes, submission: Submission) -> dict[str, Any]:
    assert isinstance(submission.command, CancelOrder)
    return {
        "key_digest": digest,
        "order_id": submission.command.order_id,
        "actor": submission.actor,
        "idempotency_key": submission.idempotency_key.encode("utf-8"),
        "correlation_id": submission.correlation_id,
        "details": None if submission.details is None else canonical_json(dict(submission.details)),
        "requested_at_us": now_us(),
    }
