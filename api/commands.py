"""The outcomes of earlier commands."""

from __future__ import annotations

import sqlalchemy as sa

from api.answering import REPLAYED
from api.errors import CommandNotFound
from api.frames import outcome_frame
from api.problems import problem
from api.routing import POSITION, Answer, Call, Routes
from api.shapes import OutcomeAnswer
from ledger import state
from ledger.reading import read
from ledger.schema import cancellation_requests as requests
from ledger.submission import Outcome, key_digest

routes = Routes("commands")


@routes.get(
    "/v1/commands/<path:idempotency_key>",
    permission="commands.read",
    summary="See what one's own command led to",
    answers={200: OutcomeAnswer()},
    errors=(404, 503),
    is_current=True,
)
def read_command(call: Call) -> Answer:
    """Return the stored outcome of the asker's command with this key: its answer, or the problem it was refused with."""
    actor, key = call.asker.id, call.path["idempotency_key"]

    def query(connection: sa.Connection) -> tuple[Outcome | None, str | None]:
        asked = sa.select(requests.c.order_id).where(requests.c.key_digest == key_digest(actor, key))
        # The request first: it goes only once the outcome is there.
        order_id = connection.execute(asked).scalar()
        return state.stored_outcome(connection, actor, key), order_id

    outcome, order_id = read(call.services.engine, query)
    if outcome is None and order_id is not None:
        return Answer(200, {"status": "cancellation_requested", "order_id": order_id})
    if outcome is None:
        raise CommandNotFound()
    headers = {POSITION: str(outcome.position), REPLAYED: "true"}
    if outcome.error is None:
        return Answer(200, {"status": "accepted", "result": outcome_frame(outcome)}, headers)
    document = problem(outcome.error, call.request_id, call.services.default_currency)
    return Answer(200, {"status": "refused", "problem": document}, headers)
