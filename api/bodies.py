"""Read request bodies strictly: the right type, bounded, UTF-8, JSON without duplicate keys or numbers that are none.

Source: RFC 8259; I-JSON (RFC 7493) for what is refused beyond it.
"""

from __future__ import annotations

import json
import math
from itertools import chain
from typing import Any

from flask import Request

from api.errors import BodyTooLarge, MalformedRequest, UnsupportedMediaType
from ledger.submission import IDEMPOTENCY_KEY_BYTES_MAX

JSON = "application/json"
DEPTH_MAX = 32
PIECE_BYTES = 1 << 16
INTEGER_DIGITS_MAX = 30
_TOO_DEEP = f"the body is nested deeper than {DEPTH_MAX}"


def read_bytes(request: Request, bytes_max: int) -> bytes:
    """Return the whole body. Raises BodyTooLarge, MalformedRequest when it ends early."""
    if request.content_length is not None and request.content_length > bytes_max:
        raise BodyTooLarge(bytes_max=bytes_max)
    # Not by Request.max_content_length: it cuts a chunked body that is too long, silently.
    pieces, size = [], 0
    while piece := request.stream.read(PIECE_BYTES):
        size += len(piece)
        if size > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)
        pieces.append(piece)
    return b"".join(pieces)


def read_json(request: Request, bytes_max: int) -> Any:
    """Return the parsed body; an empty body without a type is an empty object.

    Raises UnsupportedMediaType, BodyTooLarge, MalformedRequest.
    """
    if request.mimetype != JSON:
        if request.mimetype == "" and not request.content_length and "Transfer-Encoding" not in request.headers:
            return {}
        raise UnsupportedMediaType(expected=JSON)
    if request.mimetype_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(expected=f"{JSON} in UTF-8")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(expected=f"{JSON} without a Content-Encoding")
    return parse(read_bytes(request, bytes_max))


def parse(body: bytes) -> Any:
    """Parse JSON bytes. Raises MalformedRequest, saying what is wrong and where."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest(problem=f"the body is not UTF-8 at byte {error.start}") from None
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedRequest(
            problem=f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise MalformedRequest(problem=_TOO_DEEP) from None
    except ValueError as error:
        raise MalformedRequest(problem=f"the body is not acceptable JSON: {error}") from None
    if text.count("[") + text.count("{") > DEPTH_MAX:
        _ensure_shallow(value)
    return value


def is_idempotency_key(text: str) -> bool:
    """Say whether the text is 1 to 255 printable ASCII characters."""
    return 1 <= len(text) <= IDEMPOTENCY_KEY_BYTES_MAX and text.isascii() and text.isprintable()


def _ensure_shallow(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_MAX):
        inner = chain.from_iterable(each.values() if type(each) is dict else each for each in level)
        level = [each for each in inner if type(each) is dict or type(each) is list]
        if not level:
            return
    raise MalformedRequest(problem=_TOO_DEEP)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX:
        raise ValueError(f"a number has more than {INTEGER_DIGITS_MAX} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
