"""Orders: place, look at, cancel, resolve. Searching them is in api.searches."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from api import submissions
from api.answering import answer_command, answer_outcome, answer_read, origin
from api.authentication import ensure_own
from api.cancelling import leave_to_the_agent
from api.errors import FieldError, InvalidFields
from api.frames import event_json, order_json
from api.freshness import read_past
from api.routing import POSITION, Answer, Call, Routes
from api.schemas import CancellationBody, DryRunQuery, OrderBody, ResolutionBody
from api.shapes import CancellationRequestedAnswer, CommandAnswer, WholeOrderAnswer
from ledger import log, state
from ledger.errors import AccountNotFound, OrderNotFound, ReadUnavailable
from ledger.orders import EXECUTING, Order
from ledger.reading import read
from ledger.submission import Outcome

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
        left = leave_to_the_agent(call.services, [submission])
        if (error := left.get(id(submission))) is not None:
            raise error
        if left:
            return _answer_of_the_agent(call, order)
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


def _answer_of_the_agent(call: Call, order: Order) -> Answer:
    """Wait a moment for what comes of a cancellation that was left to the agent, and answer that or 202."""
    ends_at_s = time.monotonic() + call.services.settings.cancellation_wait_s
    while time.monotonic() < ends_at_s:
        stored = _stored(call)
        if stored is not None:
            # Decided during this very request: not a repeat.
            return answer_outcome(call, stored._replace(replayed=False), status=201)
        time.sleep(LOOK_INTERVAL_S)
    body = {"status": "cancellation_requested", "order_id": order.order_id}
    location = f"/v1/commands/{call.idempotency_key}"
    return Answer(202, body, {"Location": location, POSITION: str(order.position)})


def _stored(call: Call) -> Outcome | None:
    """Return what came of the command, None when nothing has yet, or it cannot be read now: it is asked for already."""
    actor, key = call.asker.id, call.idempotency_key
    try:
        return read(call.services.engine, lambda connection: state.stored_outcome(connection, actor, key))
    except ReadUnavailable:
        return None
