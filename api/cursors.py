"""Cursors of lists: what a list needs to go on, sealed so that only what this service gave out comes back.

A cursor is base64url of an HMAC-SHA256 and the JSON it seals. The question (which list, filters and order) is sealed
with it but not in it: the same cursor under another question does not open.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import Any

from api.errors import RequestError

CURSOR_LENGTH_MAX = 6_000
_SEAL_BYTES = 16


class InvalidCursor(RequestError):
    """The cursor is not one of ours, or belongs to another question."""

    code = "invalid-cursor"
    message = "the cursor belongs to another list, filter or order, or was altered; start again without it"


def seal(key: bytes, question: str, place: Any) -> str:
    """Return the cursor that goes on at a place, which is JSON-ready."""
    content = json.dumps(place, separators=(",", ":")).encode("ascii")
    return base64.urlsafe_b64encode(_seal(key, question, content) + content).decode("ascii").rstrip("=")


def unseal(key: bytes, question: str, cursor: str) -> Any:
    """Return the place of a cursor. Raises InvalidCursor."""
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise InvalidCursor()
        sealed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidCursor() from None
    given, content = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    if not hmac.compare_digest(given, _seal(key, question, content)):
        raise InvalidCursor()
    return json.loads(content)


def _seal(key: bytes, question: str, content: bytes) -> bytes:
    asked = question.encode("utf-8", "surrogatepass")
    # Its length first, so that a question and a content never run into each other.
    return hmac.digest(key, b"cursor:%d:%b%b" % (len(asked), asked, content), "sha256")[:_SEAL_BYTES]
