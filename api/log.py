"""The log for auditors: the signed checkpoint, the tree's tiles and entries, and the proof of one event.

Paths and forms are those of C2SP tlog-tiles (under the prefix /v1/log), tlog-checkpoint and tlog-proof, so that other
people's tools can read them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
import structlog

from api.answering import answer_read
from api.errors import NotSealed, PathNotFound, PositionNotFound
from api.freshness import read_past
from api.routing import Answer, Call, Routes, min_position
from api.schemas import LogExportQuery
from api.services import Services
from api.shapes import LogStatusAnswer
from api.spreadsheets import CSV
from ledger import log
from ledger.audit.findings import CannotTell
from ledger.audit.recording import Verification, latest_verification
from ledger.clock import rfc3339
from ledger.errors import ReadUnavailable
from ledger.exporting.export import ExportStream, Place
from ledger.proofs import sealing
from ledger.reading import read

TEXT, BYTES = "text/plain", "application/octet-stream"
EXPORT_MEDIA_TYPES = {"jsonl": "application/x-ndjson", "csv": CSV, "beancount": "text/x-beancount"}
FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
"""What was sealed never changes."""
BROKEN_OFF = b"this export broke off and is not whole: ask for it again\n"
"""The last line of an export that broke off: no JSON, no row and no directive, so that programs stumble over it."""

_log = structlog.get_logger(__name__)
routes = Routes("log")


@routes.get(
    "/v1/log/checkpoint",
    permission="proofs.read",
    summary="The newest signed checkpoint",
    answers={200: None},
    errors=(404, 503),
    media_types=(TEXT,),
)
def read_checkpoint(call: Call) -> Answer:
    """Return the signed note as it was signed."""
    sealed = read(call.services.engine, sealing.latest)
    if sealed is None:
        raise NotSealed()
    return answer_read(sealed.note, sealed.size, headers={"Cache-Control": "private, no-cache"}, media_type=TEXT)


@routes.get(
    "/v1/log/status",
    permission="log.read",
    summary="How far the log is sealed, and what the last recorded verification found",
    answers={200: LogStatusAnswer()},
    errors=(503,),
)
def read_status(call: Call) -> Answer:
    """Return the newest checkpoint, the lag behind the log, and the verification."""

    def query(connection: sa.Connection) -> Any:
        head = log.head(connection).position
        return head, sealing.latest(connection), sealing.sealing_lag(connection), latest_verification(connection)

    head, sealed, lag, verification = read(call.services.engine, query)
    body = {
        "checkpoint": sealed and _checkpoint(sealed),
        "lag_events": lag.events,
        "lag_s": round(lag.seconds, 3),
        "verification": verification and _verification(verification),
    }
    return answer_read(body, head)


@routes.get(
    "/v1/log/tile/entries/<tile:place>",
    permission="log.read",
    summary="The entries of a tile: what its leaves are hashes of",
    answers={200: None},
    errors=(404, 503),
    media_types=(BYTES,),
)
def read_entries(call: Call) -> Answer:
    """Return the entries, each behind its length in two bytes."""
    index, width = call.path["place"]
    return _piece(call, lambda connection: sealing.entries(connection, index, width))


@routes.get(
    "/v1/log/tile/<level:level>/<tile:place>",
    permission="proofs.read",
    summary="Hashes of the tree, up to 256 of a level",
    answers={200: None},
    errors=(404, 503),
    media_types=(BYTES,),
)
def read_tile(call: Call) -> Answer:
    """Return the hashes."""
    level, (index, width) = call.path["level"], call.path["place"]
    return _piece(call, lambda connection: sealing.tile(connection, level, index, width))


@routes.get(
    "/v1/log/proof/<position:position>",
    permission="proofs.read",
    summary="The proof that an event is under the newest checkpoint, with the event's bytes",
    answers={200: None},
    errors=(404, 503),
    media_types=(TEXT,),
)
def read_proof(call: Call) -> Answer:
    """Return the proof as a file that needs nothing else to be checked but the verifier key."""
    position = call.path["position"]

    def query(connection: sa.Connection) -> Any:
        event = log.event_at(connection, position)
        if event is None or call.asker.customer_id not in (None, event.account_id):
            raise PositionNotFound(position=position)
        proof = sealing.event_proof(connection, position)
        if proof is None:
            raise NotSealed()
        return proof, log.head(connection).position

    proof, head = read_past(call, query, position=position)
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="event-{position}.tlog-proof"',
    }
    return answer_read(proof.text(), head, headers=headers, media_type=TEXT)


@routes.get(
    "/v1/log/export",
    permission="log.read",
    summary="A range of the log as JSON lines that can be verified alone, CSV or Beancount",
    query=LogExportQuery(),
    answers={200: None},
    errors=(422, 503),
    media_types=tuple(EXPORT_MEDIA_TYPES.values()),
)
def export_log(call: Call) -> Answer:
    """Return the export as it is made; one that breaks off says so in its last line."""
    asked = call.query
    stream = LogExport(call.services, asked["format"], asked.get("first"), asked.get("last"), position=min_position())
    extent = stream.extent
    name = f"log-{extent.first}-{extent.last}.{asked['format']}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"}
    return answer_read(stream, extent.head, headers=headers, media_type=EXPORT_MEDIA_TYPES[asked["format"]])


class LogExport:
    """An export on its way to a client, one at a time in each process. Raises ReadUnavailable, ExportRefused.

    What breaks off in the middle of an answer, the server ends like a whole one: so it ends in a line of no format.
    """

    def __init__(
        self, services: Services, format: str, first: int | None, last: int | None, *, position: int = 0
    ) -> None:
        if not services.log_exports.acquire(blocking=False):
            raise ReadUnavailable(reason="another export of the log is being made")
        self._services = services
        self._is_open = True
        try:
            ends = [None if each is None else Place(position=each) for each in (first, last)]
            self._stream = ExportStream(
                services.ledger_settings, format=format, first=ends[0], last=ends[1], position=position
            )
        except CannotTell as error:
            services.log_exports.release()
            raise ReadUnavailable(reason=str(error)) from error
        except BaseException:
            services.log_exports.release()
            raise
        self.extent = self._stream.extent

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._is_open:
            raise StopIteration
        try:
            return next(self._stream)
        except StopIteration:
            self.close()
            raise
        except Exception:  # noqa: BLE001 - The answer has begun: nobody but the client can be told.
            self.close()
            _log.exception("export-broke-off")
            return BROKEN_OFF

    def close(self) -> None:
        """Let another export begin; the server calls this at the end, also when the client has gone."""
        if self._is_open:
            self._is_open = False
            self._stream.close()
            self._services.log_exports.release()


def _checkpoint(sealed: sealing.Sealed) -> dict[str, Any]:
    return {
        "origin": sealed.note.partition("\n")[0],
        "size": sealed.size,
        "root": b64encode(sealed.root).decode("ascii"),
        "sealed_at": rfc3339(sealed.sealed_at_us),
        "note": sealed.note,
    }


def _verification(verification: Verification) -> dict[str, Any]:
    values = asdict(verification)
    return {"finished_at": rfc3339(values.pop("finished_at_us")), **values}


def _piece(call: Call, query: Callable[[sa.Connection], bytes | None]) -> Answer:
    def found(connection: sa.Connection) -> bytes:
        piece = query(connection)
        if piece is None:
            raise PathNotFound()
        return piece

    return Answer(200, read_past(call, found), FOR_EVER, media_type=BYTES)
