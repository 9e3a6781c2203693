"""Recharges, deductions and reversals."""

from __future__ import annotations

from api import submissions
from api.answering import answer_command, origin
from api.routing import Answer, Call, Routes
from api.schemas import DryRunQuery, MoneyBody, ReversalBody
from api.shapes import CommandAnswer
from ledger import log
from ledger.reading import read

routes = Routes("money")
_COMMAND = {
    "query": DryRunQuery(),
    "answers": {201: CommandAnswer(), 200: CommandAnswer()},
    "errors": (404, 409, 422, 503),
    "idempotent": True,
}


@routes.post(
    "/v1/customers/<token:customer_id>/recharges",
    permission="recharges.post",
    summary="Add money to a customer's account",
    body=MoneyBody(),
    **_COMMAND,
)
def post_recharge(call: Call) -> Answer:
    """Add money."""
    customer_id = call.path["customer_id"]
    return answer_command(
        call, submissions.recharge(call.services, origin(call), call.idempotency_key, customer_id, call.body)
    )


@routes.post(
    "/v1/customers/<token:customer_id>/deductions",
    permission="deductions.post",
    summary="Take money from a customer's account",
    body=MoneyBody(),
    **_COMMAND,
)
def post_deduction(call: Call) -> Answer:
    """Take money."""
    customer_id = call.path["customer_id"]
    return answer_command(
        call, submissions.deduction(call.services, origin(call), call.idempotency_key, customer_id, call.body)
    )


@routes.post(
    "/v1/transactions/<position:position>/reversal",
    permission="transactions.reverse",
    summary="Reverse a recharge or a deduction",
    body=ReversalBody(),
    **_COMMAND,
)
def reverse_transaction(call: Call) -> Answer:
    """Reverse what happened at a position."""
    position = call.path["position"]
    original = read(call.services.engine, lambda connection: log.event_at(connection, position))
    if original is not None and call.asker.customer_id not in (None, original.account_id):
        original = None
    return answer_command(
        call, submissions.reversal(origin(call), call.idempotency_key, original, position, call.body["reason"])
    )
