"""The log's feed: pages to its end, or server-sent events for as long as one listens, resumed by position."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from orderledger.client.answers import Event
from orderledger.client.connections import NotAnswered, NotSent
from orderledger.client.errors import ClientError, Unavailable, error_of
from orderledger.client.sending import LATER, POSITION, Request, Sender

PAGE_EVENTS = 200
SILENCE_S_MAX = 30.0
"""The service says something every ten seconds."""
RETRY_S, RETRY_S_MAX = 0.2, 5.0
LINE_BYTES_MAX = 4 << 20


def read_events(sender: Sender, send: Any, after: int, asked: dict[str, str]) -> Iterator[Event]:
    """Iterate over the events after a position to the end of the log, page by page."""
    place: str | None = str(after)
    while place is not None:
        query = urlencode({**asked, "after": place, "limit": str(PAGE_EVENTS)})
        page = json.loads(send(Request(method="GET", target=f"/v1/events?{query}", is_read=True)).body)
        yield from map(Event.of, page["data"])
        place = page["next"]


def poll_events(sender: Sender, send: Any, after: int, asked: dict[str, str], *, interval_s: float) -> Iterator[Event]:
    """Iterate over the events after a position for ever, asking now and then."""
    while True:
        query = urlencode({**asked, "after": str(after), "limit": str(PAGE_EVENTS)})
        reply = send(Request(method="GET", target=f"/v1/events?{query}", is_read=True))
        page = json.loads(reply.body)
        for each in page["data"]:
            after = each["position"]
            yield Event.of(each)
        if page["next"] is None:
            # A filter may have left out all up to the head.
            after = max(after, int(reply.headers.get(POSITION, after)))
            time.sleep(interval_s)


def follow_events(sender: Sender, after: int, asked: dict[str, str], *, give_up_s: float) -> Iterator[Event]:
    """Iterate over the events after a position for ever, by server-sent events.

    A stream that ends is opened again where it was, after the pause that it asked for, and one that breaks at the next
    address. Raises Unavailable when none could be opened for so long, a refusal at once.
    """
    failures, broken_at_s = 0, 0.0
    pause_s = RETRY_S
    target = f"/v1/events?{urlencode(asked)}" if asked else "/v1/events"
    while True:
        try:
            for found in _one_stream(sender, target, after, failures):
                failures = 0
                if isinstance(found, Event):
                    after = found.position
                    sender.learn(after)
                    yield found
                else:
                    pause_s = found
            time.sleep(pause_s)
        except _Broken as broken:
            if failures == 0:
                # The first in a row: until now a stream was open, however quiet.
                broken_at_s = time.monotonic()
            failures += 1
            if time.monotonic() - broken_at_s > give_up_s:
                raise Unavailable(f"no event stream for {give_up_s:g} s: {broken}") from broken
            time.sleep(min(RETRY_S_MAX, RETRY_S * 2 ** min(failures, 6)) * random.uniform(0.5, 1.0))


class _Broken(Exception):
    """The stream could not be opened, or ended other than in order."""


def _one_stream(sender: Sender, target: str, after: int, failures: int) -> Iterator[Event | float]:
    """Yield events until the stream ends in order, and, once it is open, how many seconds to wait before the next one.

    Raises _Broken, ClientError.
    """
    request = Request(method="GET", target=target)
    headers = sender.headers(request) | {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    ends_at_s = time.monotonic() + sender.timeout_s
    try:
        connection, answer = sender.connections.open(
            sender.address(failures), target, headers, ends_at_s=ends_at_s, silence_s=SILENCE_S_MAX
        )
    except (NotSent, NotAnswered, TimeoutError) as error:
        raise _Broken(str(error)) from error
    try:
        if answer.status in LATER:
            raise _Broken(f"the answer was {answer.status}")
        if answer.status != http.client.OK:
            raise error_of(answer.status, answer.read())
        yield RETRY_S
        yield from _events(answer)
    except ClientError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Broken(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _events(answer: http.client.HTTPResponse) -> Iterator[Event | float]:
    # Only what our service sends: one line of data an event, and when to come again. Source: WHATWG HTML, section 9.2.
    data = ""
    while line := answer.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise ValueError("a line of the stream is too long")
        name, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
        if name == "data":
            data = value.removeprefix(" ")
        elif name == "retry" and value.strip().isdecimal():
            yield min(RETRY_S_MAX, int(value) / 1_000)
        elif name == "" and value == "" and data:
            yield Event.of(json.loads(data))
            data = ""
