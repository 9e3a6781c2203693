"""What the routes of commands and reads have in common.

Run a submission and answer it, page, say how fresh a read is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.cursors import seal, unseal
from api.frames import outcome_frame
from api.routing import POSITION, Answer, Call
from api.submissions import Origin
from ledger.submission import Outcome, Submission

REPLAYED = "Idempotent-Replayed"


def origin(call: Call) -> Origin:
    """Return who submits, and in which request."""
    return Origin(actor=call.asker.id, correlation_id=call.request_id)


def answer_command(call: Call, submission: Submission) -> Answer:
    """Run a command, or only try it with `dry_run`, and answer its outcome. Raises what it was refused with."""
    ledger = call.services.ledger
    account_id = getattr(submission.command, "account_id", None)
    if account_id is not None:
        call.unit = call.services.currency_of(account_id)
    if call.query["dry_run"]:
        return answer_outcome(call, ledger.dry_run([submission])[0], status=200)
    return answer_outcome(call, ledger.append(submission), status=201)


def answer_outcome(call: Call, outcome: Outcome, *, status: int) -> Answer:
    """Answer an outcome; a refusal is raised with the same headers."""
    headers = {POSITION: str(outcome.position)}
    if outcome.replayed:
        headers[REPLAYED] = "true"
    if outcome.error is not None:
        call.answer_headers = headers
        raise outcome.error
    return Answer(status, outcome_frame(outcome), headers)


def answer_read(body: Any, position: int, status: int = 200, headers: Mapping[str, str] = {}, **more: Any) -> Answer:
    """Answer a read with the position that it reflects."""
    return Answer(status, body, {POSITION: str(position), **headers}, **more)


def cursor_place(call: Call, question: Mapping[str, Any]) -> Any:
    """Return the place that the query's cursor goes on at, None without one. Raises InvalidCursor."""
    cursor = call.query.get("cursor")
    return None if cursor is None else unseal(call.services.cursor_key, _asked(question), cursor)


def page_body(call: Call, question: Mapping[str, Any], data: Sequence[Mapping[str, Any]], place: Any) -> dict[str, Any]:
    """Return the body of a page; `place` None at the end."""
    cursor = None if place is None else seal(call.services.cursor_key, _asked(question), place)
    return {"data": list(data), "next": cursor}


def question_of(call: Call, name: str) -> dict[str, Any]:
    """Return what a list was asked, for sealing its cursors: everything but limit and cursor."""
    return {"list": name} | {
        key: value for key, value in call.query.items() if key not in ("limit", "cursor", "counts")
    }


def _asked(question: Mapping[str, Any]) -> str:
    return repr(sorted(question.items()))
