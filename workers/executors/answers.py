"""From an executor's HTTP answer to a report.

Statuses and bodies are read strictly: what is not plainly one of the protocol's answers says nothing (Unknown), and
what cannot be true of the order is a contradiction.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Never

from workers.executors.call import Answer
from workers.executors.protocol import (
    CancellationRefused,
    Cancelled,
    CancelReport,
    Completed,
    Contradiction,
    ExecuteReport,
    Executing,
    ExecutorOrder,
    Failed,
    NotKnown,
    Unknown,
)

REASON_LENGTH_MAX = 500
DELIVERED_DIGITS_MAX = 18
NONSENSE = "executor-answer-nonsense"
MORE_THAN_ORDERED = "executor-delivered-more-than-ordered"


def execution_report(answer: Answer, order: ExecutorOrder) -> ExecuteReport:
    """Read the answer to a call to execute."""
    if answer.status in (409, 422):
        body = _document(answer.body)
        return Failed(code="executor-refused", reason=_reason(body) if body is not None else None)
    return _report(answer, order)


def enquiry_report(answer: Answer, order: ExecutorOrder) -> ExecuteReport:
    """Read the answer to an enquiry."""
    return NotKnown() if answer.status == 404 else _report(answer, order)


def cancellation_report(answer: Answer, order: ExecutorOrder) -> CancelReport:
    """Read the answer to a call to cancel."""
    if answer.status == 409:
        return CancellationRefused()
    if answer.status == 404:
        return NotKnown()
    report = _report(answer, order)
    return report if isinstance(report, Cancelled | Unknown | Contradiction) else _unknown(answer, NONSENSE)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return a Retry-After header, seconds or a date, as seconds from now; None when there is none that makes sense.

    Source: RFC 9110, 10.2.3.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - time.time())


def storable(text: str) -> str:
    """Return an executor's text, shortened and free of what cannot be stored."""
    return text[:REASON_LENGTH_MAX].encode("utf-8", "replace").decode("utf-8")


def _report(
    answer: Answer, order: ExecutorOrder
) -> Completed | Failed | Executing | Cancelled | Unknown | Contradiction:
    if answer.status not in (200, 202):
        return _unknown(answer, f"executor-status-{answer.status}")
    body = _document(answer.body)
    if body is None or body.get("order_id", order.order_id) != order.order_id:
        return _unknown(answer, NONSENSE)
    match body.get("status"):
        case "executing":
            return Executing(retry_after_s=retry_after_s(answer.headers))
        case "completed" | "cancelled" as status if answer.status == 200:
            delivered = body.get("delivered")
            if not isinstance(delivered, int) or isinstance(delivered, bool) or delivered < 0:
                return _unknown(answer, NONSENSE)
            if delivered > order.quantity:
                return Contradiction(code=MORE_THAN_ORDERED)
            return Completed(delivered=delivered) if status == "completed" else Cancelled(delivered=delivered)
        case "failed" if answer.status == 200:
            return Failed(code="executor-failed", reason=_reason(body))
        case _:
            return _unknown(answer, NONSENSE)


def _unknown(answer: Answer, code: str) -> Unknown:
    return Unknown(code=code, retry_after_s=retry_after_s(answer.headers))


def _document(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body, None for anything else.

    Duplicate keys, NaN, huge numbers, other encodings, too deep.
    """
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse, parse_int=_whole_number
        )
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _refuse(constant: str) -> Never:
    raise ValueError(constant)


def _whole_number(digits: str) -> int:
    if len(digits) > DELIVERED_DIGITS_MAX:
        raise ValueError("number too long")
    return int(digits)


def _reason(body: Mapping[str, Any]) -> str | None:
    """Return the executor's text."""
    for name in ("reason", "detail", "title", "message"):
        text = body.get(name)
        if isinstance(text, str) and text:
            return storable(text)
    return None
