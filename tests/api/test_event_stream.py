"""The feed as server-sent events: what was, then what comes, from where one left off."""

from __future__ import annotations

from typing import Any

from till import Till


def stream(till: Till, **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {till.front.secret}", "Accept": "text/event-stream"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return till.front.app.test_client().get("/v1/events", headers=sent, buffered=False)


def ids(answer: Any, count: int) -> list[int]:
    found: list[int] = []
    for piece in answer.response:
        text = piece.decode() if isinstance(piece, bytes) else piece
        if text.startswith("id: "):
            found.append(int(text.split("\n")[0][4:]))
        if len(found) == count:
            return found
    return found


def test_a_stream_has_what_was_and_then_what_comes(till: Till) -> None:
    till.recharge("1.00")

    answer = stream(till)
    before = ids(answer, 2)
    till.recharge("2.00")
    after = ids(answer, 1)
    answer.close()

    assert answer.mimetype == "text/event-stream"
    assert (before, after) == ([1, 2], [3])


def test_a_stream_goes_on_after_the_last_event_that_was_seen(till: Till) -> None:
    till.recharge("1.00")

    answer = stream(till, Last_Event_ID="1")
    seen = ids(answer, 1)
    answer.close()

    assert seen == [2]
    assert stream(till, Last_Event_ID="x").status_code == 400


def test_a_stream_that_ended_makes_room_for_another(sqlite_till: Till) -> None:
    limit = sqlite_till.front.services.settings.event_streams_max
    opened = [stream(sqlite_till) for _ in range(limit)]

    refused = stream(sqlite_till)
    opened[0].close()
    again = stream(sqlite_till)

    assert (refused.status_code, refused.json["code"]) == (503, "unavailable")
    assert again.status_code == 200
    for each in (*opened[1:], again):
        each.close()
