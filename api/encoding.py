"""Answers' JSON as bytes."""

from __future__ import annotations

import json
from typing import Any

import orjson

_encode_any = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode_json(value: Any) -> bytes:
    """Write an answer's JSON; its text must be valid Unicode."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # A client's own settings may hold whole numbers of more than 64 bits.
        return _encode_any(value).encode("utf-8")
