"""The feed of the log, for readers that keep a checkpoint."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from api.answering import answer_read
from api.encoding import encode_json
from api.errors import FieldError, InvalidFields, MalformedRequest, PositionNotFound
from api.frames import cloud_event, event_json
from api.freshness import read_past
from api.routing import Answer, Call, Routes
from api.schemas import EventsQuery
from api.services import Services
from api.shapes import EventsAnswer, OneEventAnswer
from ledger import log
from ledger.errors import LedgerError, ReadUnavailable
from ledger.events import EVENT_CLASSES, Recorded

NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
CLOUD_EVENTS = "application/cloudevents-batch+json"
STREAM_PAGE_EVENTS = 500
LOOK_INTERVAL_S = 0.25
HEARTBEAT_S = 10.0
routes = Routes("events")


@routes.get(
    "/v1/events",
    permission="events.read",
    summary="Read the log on from a position",
    query=EventsQuery(),
    answers={200: EventsAnswer()},
    errors=(503,),
    media_types=("application/json", NDJSON, EVENT_STREAM, CLOUD_EVENTS),
)
def read_events(call: Call) -> Answer:
    """Return events after a position, ascending; `next` is the position to go on after, null at the end."""
    asked = call.query
    wanted_type = asked.get("type")
    if wanted_type is not None and wanted_type not in EVENT_CLASSES:
        known = ", ".join(EVENT_CLASSES)
        raise InvalidFields(errors=[FieldError(parameter="type", detail=f"no such type; there are {known}")])

    account_id = call.asker.customer_id or asked.get("customer_id")
    form = _format(call)
    if call.headers.get("Accept", "").startswith(EVENT_STREAM) and asked.get("format") in (None, "cloudevents"):
        stream = EventStream(call.services, _last_event_id(call), wanted_type, account_id, _SHAPES[form])
        return Answer(200, stream, {"X-Accel-Buffering": "no"}, media_type=EVENT_STREAM)

    def query(connection: sa.Connection) -> Any:
        head = log.head(connection).position
        found = log.events_after(connection, asked["after"], asked["limit"], type=wanted_type, account_id=account_id)
        return found, head

    # A server that has not got to `after` yet would say that there is nothing behind it.
    events, head = read_past(call, query, position=asked["after"])
    if form == "ndjson":
        return answer_read(_lines(events), head, media_type=NDJSON)
    if form == "cloudevents":
        return answer_read([cloud_event(each) for each in events], head, media_type=CLOUD_EVENTS)
    following = str(events[-1].position) if len(events) == asked["limit"] else None
    return answer_read({"data": [event_json(each) for each in events], "next": following}, head)


@routes.get(
    "/v1/events/<position:position>",
    permission="events.read",
    summary="See one event with its erasable text, and which come before and after it in its account",
    answers={200: OneEventAnswer()},
    errors=(404, 503),
)
def read_event(call: Call) -> Answer:
    """Return the event."""
    position = call.path["position"]

    def query(connection: sa.Connection) -> Any:
        event = log.event_at(connection, position)
        if event is None or call.asker.customer_id not in (None, event.account_id):
            raise PositionNotFound(position=position)
        details = log.details_at(connection, [position]).get(position)
        return event, details, log.neighbours_in_account(connection, event), log.head(connection).position

    event, details, (previous, following), head = read_past(call, query, position=position)
    body = event_json(event) | {"details": details, "previous_in_account": previous, "next_in_account": following}
    return answer_read(body, head)


class EventStream:
    """Server-sent events: what the log has, then what it gets, for a while; the client then comes again.

    Each process keeps a limited number open. Raises ReadUnavailable when there are that many. Source: WHATWG HTML,
    section 9.2.
    """

    def __init__(
        self,
        services: Services,
        after: int,
        wanted_type: str | None,
        account_id: str | None,
        shape: Callable[[Recorded], dict[str, Any]],
    ) -> None:
        if not services.event_streams.acquire(blocking=False):
            raise ReadUnavailable(reason="too many event streams are open")
        self._services = services
        self._shape = shape
        self._is_open = True
        self._pieces = self._run(after, wanted_type, account_id)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Let another stream open; the server calls this at the end, also when the client has gone."""
        if self._is_open:
            self._is_open = False
            self._services.event_streams.release()

    def _run(self, after: int, wanted_type: str | None, account_id: str | None) -> Iterator[bytes]:
        def look(connection: sa.Connection) -> tuple[int, list[Recorded]]:
            # The head first: what came after it is for the next look.
            end = log.head(connection).position
            return end, log.events_after(connection, after, STREAM_PAGE_EVENTS, type=wanted_type, account_id=account_id)

        yield b"retry: 1000\n\n"
        ends_at_s = time.monotonic() + self._services.settings.event_stream_s
        said_at_s = time.monotonic()
        while time.monotonic() < ends_at_s:
            if self._services.draining.is_on:
                yield self._services.draining.parting()
                return
            try:
                end, events = self._services.replicas.read(look, position=after)
            except LedgerError:
                return
            for each in events:
                data = encode_json(self._shape(each))
                yield b"id: %d\nevent: %s\ndata: %s\n\n" % (each.position, each.type.encode("ascii"), data)
            last = events[-1].position if events else after
            after = last if len(events) == STREAM_PAGE_EVENTS else max(last, end)
            if events:
                said_at_s = time.monotonic()
            elif time.monotonic() - said_at_s > HEARTBEAT_S:
                yield b": still here\n\n"
                said_at_s = time.monotonic()
            if len(events) < STREAM_PAGE_EVENTS:
                time.sleep(LOOK_INTERVAL_S)


_SHAPES: dict[str, Callable[[Recorded], dict[str, Any]]] = {"json": event_json, "cloudevents": cloud_event}


def _format(call: Call) -> str:
    accepted = call.headers.get("Accept", "")
    by_header = {NDJSON: "ndjson", CLOUD_EVENTS: "cloudevents"}
    given: str | None = call.query.get("format")
    return given or next((form for media_type, form in by_header.items() if accepted.startswith(media_type)), "json")


def _last_event_id(call: Call) -> int:
    given = call.headers.get("Last-Event-ID")
    if given is None:
        return int(call.query["after"])
    if re.fullmatch(r"[0-9]{1,15}", given) is None:
        raise MalformedRequest(problem="Last-Event-ID must be a position")
    return int(given)


def _lines(events: list[Recorded]) -> Iterator[bytes]:
    for each in events:
        yield encode_json(event_json(each)) + b"\n"
