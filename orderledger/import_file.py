"""Post the commands of a file, in batches, each line with its result; running it again goes on and doubles nothing.

A line without an idempotency key gets one made of the file's content and the line's number, so a repeat of the whole import is a
repeat of each command. Lines that have a result already are skipped.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.batch_items import Item, understand
from api.bodies import parse
from api.encoding import encode_json
from api.errors import FieldError, InvalidFields
from api.overlapping import overlapped
from api.problems import problem
from api.services import Services
from api.submissions import Origin
from ledger.directory.access import Principal
from ledger.directory.permissions import PERMISSIONS
from ledger.errors import LedgerError
from ledger.submission import Outcome, Submission

ACTOR = "system:import"
SLICE_LINES = 1_000
INTEGER_COLUMNS = frozenset({"quantity"})
JSON_COLUMNS = frozenset({"params"})
ACCEPTED, REFUSED, INVALID = "accepted", "refused", "invalid"
_IMPORTER = Principal(id=ACTOR, role="import", permissions=frozenset(PERMISSIONS), customer_id=None)


def import_file(environment: Mapping[str, str], file: Path, results: Path) -> dict[str, Any]:
    """Post a CSV or NDJSON file and return how many lines were accepted, done before, refused or not understood."""
    content_id = _content_id(file)
    header = encode_json({"file": file.name, "content": content_id}) + b"\n"
    total, done = _count_lines(file), _done_before(results, header)
    counts = {ACCEPTED: 0, "replayed": 0, REFUSED: 0, INVALID: 0} | done
    skip = sum(done.values())
    services = Services(environment)
    origin = Origin(actor=ACTOR, correlation_id=f"import-{content_id}")
    try:
        with results.open("ab") as written, _progress() as progress:
            if written.tell() == 0:
                written.write(header)
            task = progress.add_task("importing", total=total, completed=skip)
            lines = islice(_documents(file, content_id), skip, None)
            for results_of_slice in overlapped(_slices(services, origin, lines), lambda each: _post(services, *each)):
                for result in results_of_slice:
                    counts[result["state"]] += 1
                    counts["replayed"] += bool(result.get("replayed"))
                written.write(b"".join(encode_json(result) + b"\n" for result in results_of_slice))
                written.flush()
                progress.advance(task, len(results_of_slice))
    finally:
        services.close()
    return counts | {"lines": total, "results": str(results)}


def _slices(
    services: Services, origin: Origin, lines: Iterator[tuple[int, Any]]
) -> Iterator[tuple[list[int], list[Item]]]:
    """Yield slices of the lines: their numbers, and what each is understood as."""
    while chunk := list(islice(lines, SLICE_LINES)):
        numbers, documents = [number for number, _ in chunk], [document for _, document in chunk]
        yield numbers, understand(services, _IMPORTER, origin, documents)


def _post(services: Services, numbers: list[int], items: list[Item]) -> list[dict[str, Any]]:
    for item in items:
        if isinstance(item, LedgerError):
            _ensure_final(item)
    wanted = [item for item in items if isinstance(item, Submission)]
    outcomes = iter(services.ledger.append_batch(wanted, atomic=False))
    results = []
    for number, item in zip(numbers, items, strict=True):
        if isinstance(item, LedgerError):
            results.append({"line": number, "state": INVALID, "problem": _problem(services, item)})
        else:
            results.append({"line": number} | _result(services, next(outcomes)))
    return results


def _result(services: Services, outcome: Outcome) -> dict[str, Any]:
    error = outcome.error
    if error is not None:
        _ensure_final(error)
        return {"state": REFUSED, "problem": _problem(services, error), "replayed": outcome.replayed}
    return {
        "state": ACCEPTED,
        "position": outcome.position,
        "order_id": None if outcome.order is None else outcome.order.order_id,
        "replayed": outcome.replayed,
    }


def _ensure_final(error: LedgerError) -> None:
    # What is not settled ends the run without a result, so that the next one starts with this very line, or its slice.
    if error.code in ("unavailable", "outcome-unknown", "internal"):
        raise error


def _problem(services: Services, error: LedgerError) -> dict[str, Any]:
    document = problem(error, "import", services.default_currency)
    return {name: document[name] for name in ("code", "detail", "errors") if name in document}


def _documents(file: Path, content_id: str) -> Iterator[tuple[int, Any]]:
    """Yield each line's number and command, or what is wrong with the line."""
    numbered = _csv_documents(file) if _is_csv(file) else _ndjson_documents(file)
    for number, document in numbered:
        if isinstance(document, dict):
            document.setdefault("idempotency_key", f"import:{content_id}:{number}")
        yield number, document


def _ndjson_documents(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield number, parse(line)
                except LedgerError as error:
                    yield number, error


def _csv_documents(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = filter(None, csv.reader(text))
        names = next(rows, [])
        for number, cells in enumerate(rows, start=2):
            if len(cells) == len(names):
                row = zip(names, cells, strict=True)
                yield number, {name: _cell(name, value) for name, value in row if name and value != ""}
            else:
                # Which cell belongs to which name nobody knows: 1,000.00 is two cells, and the first of them an amount.
                detail = f"the line has {len(cells)} cells, the header {len(names)}"
                yield number, InvalidFields(errors=[FieldError(pointer="", detail=detail)])


def _cell(name: str, value: str) -> Any:
    if name in INTEGER_COLUMNS and value.isascii() and value.isdigit():
        return int(value)
    if name in JSON_COLUMNS:
        try:
            return parse(value.encode("utf-8"))
        except LedgerError:
            return value
    return value


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() == ".csv"


def _content_id(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _count_lines(file: Path) -> int:
    if _is_csv(file):
        return sum(1 for _ in _csv_documents(file))
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _done_before(results: Path, header: bytes) -> dict[str, int]:
    """Count the results of an earlier run of the same content. Raises click.UsageError for another file's results."""
    done: dict[str, int] = {}
    if not results.exists():
        return done
    with results.open("r+b") as lines:
        first = lines.readline()
        if not first.endswith(b"\n") and header.startswith(first):
            lines.truncate(0)
            return done
        if _content_of(first) != _content_of(header):
            raise click.UsageError(f"{results} belongs to another file; move it away, or name another with --results")
        end = lines.tell()
        while line := lines.readline():
            if not line.endswith(b"\n"):
                break
            state = json.loads(line)["state"]
            done[state] = done.get(state, 0) + 1
            end = lines.tell()
        # A line that was cut off when the run was stopped is written again.
        lines.truncate(end)
    return done


def _content_of(header: bytes) -> str | None:
    """Return the content's id that the first line of results has, None when it is no such line."""
    try:
        found = json.loads(header)
    except ValueError:
        return None
    return found.get("content") if isinstance(found, dict) else None


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    )
