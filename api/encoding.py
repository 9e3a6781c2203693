"""Answers' JSON as bytes."""

from __future__ import annotations

import msgspec

encode_json = msgspec.json.Encoder().encode
"""Write an answer's JSON; its text must be valid Unicode."""
