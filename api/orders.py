"""Orders: place, look at, cancel, resolve. Searching them is in api.searches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis
import sqlalchemy as sa

from api import submissions
from api.answering import answer_command, answer_outcome, answer_read, origin
from api.authentication import ensure_own
from api.errors import FieldError, InvalidFields
from api.frames import event_json, order_json
from api.freshness import read_past
from api.routing import POSITION, Answer, Call, Routes
from api.schemas import CancellationBody, DryRunQuery, OrderBody, ResolutionBody
from api.services import Services
from api.shapes import CancellationRequestedAnswer, CommandAnswer, WholeOrderAnswer
from ledger import log, schema, state
from ledger.clock import now_us
from ledger.codec import canonical_json
from ledger.errors import AccountNotFound, NothingRecorded, OrderNotFound
from ledger.orders import EXECUTING, Order
from ledger.reading import read
from ledger.submission import Outcome, Submission, key_digest
from projections.wake import wake

routes = Routes("orders")
LOOK_INTERVAL_S = 0.05
_COMMAND = {
    "query": DryRunQuery(),
    "answers": {201: CommandAnswer(), 200: CommandAnswer()},
    "errors": (404, 409, 422, 503),
    "idempotent": True,
}


@routes.post("/v1/orders", permission="orders.place", summary="Place an order", body=OrderBody(), **_COMMAND)
def place_order(call: Call) -> Answer:
    """Place an order for a customer."""
    customer_id = owner_of_order(call, call.body)
    return answer_command(
        call, submissions.order(call.services, origin(call), call.idempotency_key, customer_id, call.body)
    )


@routes.get(
    "/v1/orders/<token:order_id>",
    permission="orders.read",
    summary="See an order with its events",
    answers={200: WholeOrderAnswer()},
    errors=(404, 503),
)
def read_order(call: Call) -> Answer:
    """Return the order and its events, as the log has them at the position that the answer names."""
    order_id = call.path["order_id"]

    def query(connection: sa.Connection) -> Any:
        events = log.events_of_order(connection, order_id)
        if not events or call.asker.customer_id not in (None, events[0].account_id):
            raise OrderNotFound(order_id=order_id)
        return events, log.details_at(connection, [events[0].position]), log.head(connection).position

    events, details, head = read_past(call, query)
    order = state.order_from(events)
    placed = details.get(order.placed_position, {})
    name = call.services.names.name_of(order.account_id)
    body = order_json(order) | {"customer_name": name, "params": placed.get("params")}
    return answer_read(body | {"events": [event_json(each) for each in events]}, head)


@routes.post(
    "/v1/orders/<token:order_id>/cancellation",
    permission="orders.cancel",
    summary="Cancel an order; one that is being executed only if its executor agrees",
    body=CancellationBody(),
    **(_COMMAND | {"answers": {201: CommandAnswer(), 200: CommandAnswer(), 202: CancellationRequestedAnswer()}}),
)
def cancel_order(call: Call) -> Answer:
    """Cancel an order."""
    order = order_of(call, call.path["order_id"])
    submission = submissions.cancellation(origin(call), call.idempotency_key, call.path["order_id"], call.body)
    if order is not None and order.status == EXECUTING and not call.query["dry_run"]:
        return _ask_the_executor(call, order, submission)
    return answer_command(call, submission)


@routes.post(
    "/v1/orders/<token:order_id>/resolution",
    permission="orders.resolve",
    summary="Decide an order that waits for a person",
    body=ResolutionBody(),
    **_COMMAND,
)
def resolve_order(call: Call) -> Answer:
    """Complete, fail or cancel a parked order."""
    order_of(call, call.path["order_id"])
    return answer_command(
        call, submissions.resolution(origin(call), call.idempotency_key, call.path["order_id"], call.body)
    )


def owner_of_order(call: Call, content: dict[str, Any]) -> str:
    """Return whose order is to be placed. Raises InvalidFields, or AccountNotFound for another's."""
    customer_id: str | None = content.get("customer_id", call.asker.customer_id)
    if customer_id is None:
        raise InvalidFields(errors=[FieldError(pointer="/customer_id", detail="this field is required")])
    ensure_own(call.asker, customer_id)
    return customer_id


def order_of(call: Call, order_id: str) -> Order | None:
    """Return the order, None when there is none. Raises OrderNotFound for another's."""
    order = read(call.services.engine, lambda connection: state.order(connection, order_id))
    try:
        if order is not None:
            ensure_own(call.asker, order.account_id)
    except AccountNotFound:
        raise OrderNotFound(order_id=order_id) from None
    if order is None and call.asker.customer_id is not None:
        # Answered as for another's, and as nothing that a stored outcome could later contradict.
        raise OrderNotFound(order_id=order_id)
    return order


def _ask_the_executor(call: Call, order: Order, submission: Submission) -> Answer:
    """Leave the request to the agent, wait a moment for what comes of it, and answer that or 202."""
    stored = _stored(call)
    if stored is None:
        request_cancellations(call.services, [(order.order_id, submission)])
        ends_at_s = time.monotonic() + call.services.settings.cancellation_wait_s
        while stored is None and time.monotonic() < ends_at_s:
            time.sleep(LOOK_INTERVAL_S)
            stored = _stored(call)
        if stored is not None:
            # Decided during this very request: not a repeat.
            stored = Outcome(
                position=stored.position,
                error=stored.error,
                event=stored.event,
                order=stored.order,
                balance=stored.balance,
                details=stored.details,
            )
    if stored is not None:
        return answer_outcome(call, stored, status=201)
    body = {"status": "cancellation_requested", "order_id": order.order_id}
    location = f"/v1/commands/{call.idempotency_key}"
    return Answer(202, body, {"Location": location, POSITION: str(order.position)})


def _stored(call: Call) -> Outcome | None:
    actor, key = call.asker.id, call.idempotency_key
    return read(call.services.engine, lambda connection: state.stored_outcome(connection, actor, key))


def request_cancellations(services: Services, wanted: Sequence[tuple[str, Submission]]) -> None:
    """Ask the agent to have these executing orders cancelled; asking again under the same key changes nothing.

    Raises NothingRecorded.
    """
    table = schema.cancellation_requests
    rows = [_request_row(order_id, submission) for order_id, submission in wanted]
    digests = [row["key_digest"] for row in rows]
    try:
        with services.engine.execution_options(write=True).begin() as connection:
            asked = set(connection.scalars(sa.select(table.c.key_digest).where(table.c.key_digest.in_(digests))))
            for row in rows:
                if row["key_digest"] not in asked:
                    connection.execute(sa.insert(table).values(**row))
    except sa.exc.IntegrityError:
        return  # The same request at the same moment was first.
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise NothingRecorded(reason="the database takes no writes") from error
    with suppress(redis.RedisError):
        # The agent finds the request without a wake-up, too, only later.
        wake(services.queue_redis, "agent")


def _request_row(order_id: str, submission: Submission) -> dict[str, Any]:
    return {
        "key_digest": key_digest(submission.actor, submission.idempotency_key),
        "order_id": order_id,
        "actor": submission.actor,
        "idempotency_key": submission.idempotency_key.encode("utf-8"),
        "correlation_id": submission.correlation_id,
        "details": None if submission.details is None else canonical_json(dict(submission.details)),
        "requested_at_us": now_us(),
    }
