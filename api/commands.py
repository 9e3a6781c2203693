"""The outcomes of earlier commands."""

from __future__ import annotations

from api.answering import POSITION, REPLAYED
from api.errors import CommandNotFound
from api.frames import outcome_frame
from api.problems import problem
from api.routing import Answer, Call, Routes
from api.schemas import AnyAnswer
from ledger import state
from ledger.reading import read

routes = Routes("commands")


@routes.get(
    "/v1/commands/<path:idempotency_key>",
    permission="commands.read",
    summary="See what one's own command led to",
    answers={200: AnyAnswer()},
    errors=(404, 503),
)
def read_command(call: Call) -> Answer:
    """Return the stored outcome of the asker's command with this key: its answer, or the problem it was refused with."""
    actor, key = call.asker.id, call.path["idempotency_key"]
    outcome = read(call.services.engine, lambda connection: state.stored_outcome(connection, actor, key))
    if outcome is None:
        raise CommandNotFound()
    headers = {POSITION: str(outcome.position), REPLAYED: "true"}
    if outcome.error is None:
        return Answer(200, {"status": "accepted", "result": outcome_frame(outcome)}, headers)
    document = problem(outcome.error, call.request_id, call.services.default_currency)
    return Answer(200, {"status": "refused", "problem": document}, headers)
