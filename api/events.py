"""The feed of the log, for readers that keep a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from api.answering import answer_read
from api.errors import FieldError, InvalidFields
from api.frames import event_json
from api.routing import Answer, Call, Routes, encode_json
from api.schemas import EventsQuery
from api.shapes import EventsAnswer
from ledger import log
from ledger.events import EVENT_CLASSES, Recorded
from ledger.reading import read

NDJSON = "application/x-ndjson"
routes = Routes("events")


@routes.get(
    "/v1/events",
    permission="events.read",
    summary="Read the log on from a position",
    query=EventsQuery(),
    answers={200: EventsAnswer()},
    errors=(503,),
    media_types=("application/json", NDJSON),
)
def read_events(call: Call) -> Answer:
    """Return events after a position, ascending; `next` is the position to go on after, null at the end."""
    asked = call.query
    wanted_type = asked.get("type")
    if wanted_type is not None and wanted_type not in EVENT_CLASSES:
        known = ", ".join(EVENT_CLASSES)
        raise InvalidFields(errors=[FieldError(parameter="type", detail=f"no such type; there are {known}")])

    def query(connection: sa.Connection) -> Any:
        head = log.head(connection).position
        found = log.events_after(
            connection,
            asked["after"],
            asked["limit"],
            type=wanted_type,
            account_id=call.asker.customer_id or asked.get("customer_id"),
        )
        return found, head

    events, head = read(call.services.engine, query)
    wants_lines = call.headers.get("Accept", "").startswith(NDJSON)
    if asked.get("format", "ndjson" if wants_lines else "json") == "ndjson":
        return answer_read(_lines(events), head, media_type=NDJSON)
    following = str(events[-1].position) if len(events) == asked["limit"] else None
    return answer_read({"data": [event_json(each) for each in events], "next": following}, head)


def _lines(events: list[Recorded]) -> Iterator[str]:
    for each in events:
        yield encode_json(event_json(each)) + "\n"
