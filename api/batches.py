"""Many commands in one request, each with its own result: a JSON list, or lines that are read as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from flask import request

from api import bodies
from api.answering import origin
from api.batch_items import Item, understand
from api.cancelling import leave_to_the_agent
from api.encoding import encode_json
from api.errors import BodyTooLarge, FieldError, InvalidFields, MalformedRequest, TooManyCommands, UnsupportedMediaType
from api.frames import outcome_frame
from api.overlapping import overlapped
from api.problems import problem
from api.routing import POSITION, Answer, Call, Routes, load
from api.schemas import BatchBody, DryRunQuery
from api.shapes import BatchAnswer
from api.spools import Spool
from ledger.append.waiting import CUT_OFF
from ledger.commands import CancelOrder
from ledger.errors import (
    IdempotencyKeyReused,
    LedgerError,
    NothingRecorded,
    OutcomeUnknown,
    ReadUnavailable,
)
from ledger.orders import EXECUTING
from ledger.reading import read
from ledger.state import orders_by_id
from ledger.submission import Outcome, Submission

routes = Routes("batches")
COMMANDS_MAX = 10_000
SLICE_COMMANDS = 1_000
LINE_BYTES_MAX = 65_536
PIECE_BYTES = 1 << 16
UNSETTLED = frozenset({NothingRecorded.code, OutcomeUnknown.code})
TOO_LONG = b"["
"""Stands for a line that is too long: whatever it is, it is no command."""
NDJSON = "application/x-ndjson"


@routes.post(
    "/v1/batches",
    permission="batches.post",
    summary="Post many commands; each also needs its own permission",
    query=DryRunQuery(),
    body=BatchBody(),
    answers={200: BatchAnswer()},
    errors=(413, 415, 422, 503),
    streamed=True,
    bytes_max="batch_bytes_max",
    media_types=(bodies.JSON, NDJSON),
    body_media_types=(bodies.JSON, NDJSON),
)
def post_batch(call: Call) -> Answer:
    """Post a batch."""
    if request.mimetype == NDJSON:
        if call.query["dry_run"]:
            raise InvalidFields(errors=[FieldError(parameter="dry_run", detail="a streamed batch cannot be tried")])
        # How long one lasts cannot be bounded: the server hands a piece out when it is full or the last, whatever trickles.
        if not call.services.batch_streams.acquire(blocking=False):
            raise NothingRecorded(reason="too many batches are being streamed")
        try:
            lines, position = _streamed(call, _lines(request.stream))
        finally:
            call.services.batch_streams.release()
        return Answer(200, lines, {POSITION: str(position)}, media_type=NDJSON)
    if request.mimetype != bodies.JSON:
        raise UnsupportedMediaType(expected=f"{bodies.JSON} or {NDJSON}")
    body = load(BatchBody(), bodies.read_json(request, call.services.settings.batch_bytes_max))
    documents, atomic = body["commands"], body["atomic"]
    if not 1 <= len(documents) <= COMMANDS_MAX:
        detail = f"expected 1 to {COMMANDS_MAX} commands; stream more as {NDJSON}"
        raise InvalidFields(errors=[FieldError(pointer="/commands", detail=detail)])
    items = understand(call.services, call.asker, origin(call), documents)
    if atomic:
        _ensure_all_understood(items)
    results, position = _results(call, items, atomic=atomic)
    return Answer(200, {"results": results}, {POSITION: str(position)})


def _ensure_all_understood(items: Sequence[Item]) -> None:
    wrong = []
    for index, item in enumerate(items):
        if isinstance(item, InvalidFields):
            wrong += [
                FieldError(pointer=f"/commands/{index}{each.pointer or ''}", detail=each.detail) for each in item.errors
            ]
        elif isinstance(item, LedgerError):
            raise item
    if wrong:
        raise InvalidFields(errors=wrong)


def _results(call: Call, items: Sequence[Item], *, atomic: bool = False) -> tuple[list[dict[str, Any]], int]:
    """Post what was understood, and return a result for each item in order, and the highest position."""
    dry_run = call.query["dry_run"]
    waiting = {} if atomic or dry_run else _for_the_executor(call, items)
    wanted = [item for item in items if isinstance(item, Submission) and id(item) not in waiting]
    ledger = call.services.ledger
    outcomes = iter(ledger.dry_run(wanted, atomic=atomic) if dry_run else ledger.append_batch(wanted, atomic=atomic))
    results: list[dict[str, Any]] = []
    position = 0
    for item in items:
        if isinstance(item, LedgerError):
            results.append(_problem(call, item, None))
        elif id(item) in waiting:
            error = waiting[id(item)]
            asked = {"status": 202, "idempotency_key": item.idempotency_key}
            results.append(asked if error is None else _problem(call, error, item))
        else:
            outcome = next(outcomes)
            position = max(position, outcome.position)
            results.append(_result(call, item, outcome, status=200 if dry_run else 201))
    return results, position


def _for_the_executor(call: Call, items: Sequence[Item]) -> dict[int, IdempotencyKeyReused | None]:
    """Leave cancellations of executing orders to the agent, and return which these are, by identity."""
    wanted = {
        id(item): item.command.order_id
        for item in items
        if isinstance(item, Submission) and isinstance(item.command, CancelOrder)
    }
    if not wanted:
        return {}
    found = read(call.services.engine, lambda connection: orders_by_id(connection, list(wanted.values())))
    executing = {order_id for order_id, order in found.items() if order.status == EXECUTING}
    asked = [item for item in items if isinstance(item, Submission) and wanted.get(id(item)) in executing]
    return leave_to_the_agent(call.services, asked) if asked else {}


def _result(call: Call, item: Submission, outcome: Outcome, *, status: int) -> dict[str, Any]:
    if outcome.error is not None:
        found = _problem(call, outcome.error, item)
    else:
        found = {"status": status, "idempotency_key": item.idempotency_key, "result": outcome_frame(outcome)}
    return found | {"replayed": outcome.replayed}


def _problem(call: Call, error: LedgerError, item: Submission | None) -> dict[str, Any]:
    # Nothing is read here: the others are recorded already, and a refusal that names amounts names their currency.
    document = problem(error, call.request_id, call.services.default_currency)
    key = None if item is None else item.idempotency_key
    return {"status": document["status"], "idempotency_key": key, "problem": document}


def _streamed(call: Call, lines: Iterator[bytes]) -> tuple[Spool, int]:
    """Post slice after slice of the lines; return a line of result for each command, and the highest position.

    Memory stays constant. While a slice is committed, the next one is read and understood. Results wait in a file until
    the last line was read: most clients send everything before they read anything, and would wait for us as we for
    them.
    """
    highest, is_cut_off = 0, False

    def post(items: list[Item]) -> tuple[list[dict[str, Any]], int]:
        nonlocal is_cut_off
        if is_cut_off:
            return [_cut_off(call, item) for item in items], 0
        results, position = _slice_results(call, items)
        is_cut_off = any(each.get("problem", {}).get("code") in UNSETTLED for each in results)
        return results, position

    def made() -> Iterator[bytes]:
        nonlocal highest
        for results, position in overlapped(_slices(call, lines), post):
            highest = max(highest, position)
            yield b"".join(encode_json(result) + b"\n" for result in results)

    spool = Spool(made())
    return spool, highest


def _slices(call: Call, lines: Iterator[bytes]) -> Iterator[list[Item]]:
    count, commands_max = 0, call.services.settings.batch_lines_max
    while chunk := list(islice(lines, SLICE_COMMANDS)):
        count += len(chunk)
        if count > commands_max:
            yield [TooManyCommands(commands_max=commands_max)]
            return
        if _is_cut_short(call):
            yield [NothingRecorded(reason="the server is being stopped") for _ in chunk]
            continue
        try:
            yield understand(call.services, call.asker, origin(call), [_document(line) for line in chunk])
        except ReadUnavailable as error:
            yield [error for _ in chunk]


def _is_cut_short(call: Call) -> bool:
    # A stream that goes on for longer than a stop may take is answered all the same: what is left of it, with "not now".
    settings, draining = call.services.settings, call.services.draining
    return bool(draining.for_s > settings.drain_notice_s + settings.drain_s / 2)


def _slice_results(call: Call, items: Sequence[Item]) -> tuple[list[dict[str, Any]], int]:
    try:
        return _results(call, items)
    except LedgerError as error:
        return [_problem(call, error, None) for _ in items], 0


def _cut_off(call: Call, item: Item) -> dict[str, Any]:
    """Return the result of what comes behind a command that was not recorded: it would be decided out of order."""
    if isinstance(item, LedgerError):
        return _problem(call, item, None)
    return _problem(call, NothingRecorded(reason=CUT_OFF), item)


def _document(line: bytes) -> Any:
    try:
        return bodies.parse(line)
    except (MalformedRequest, BodyTooLarge) as error:
        return error


def _lines(stream: Any) -> Iterator[bytes]:
    """Yield the stream's lines without blank ones; of one that is too long only a part, which is not JSON."""
    rest, is_cut = b"", False
    while piece := stream.read(PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not is_cut and line.strip():
                yield line
            is_cut = False
        if len(rest) > LINE_BYTES_MAX:
            if not is_cut:
                yield TOO_LONG
            rest, is_cut = b"", True
    if not is_cut and rest.strip():
        yield rest
