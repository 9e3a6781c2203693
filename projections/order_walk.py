"""Bounded steps over the orders read model, for searches and counts: what to ask of the script and how to go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from projections import keys
from projections.generations import Generation, run_script
from projections.order_documents import OrderDocument, decode

STEP_BUDGET = 1_500
"""Candidates looked at in one call of the script, which then takes a few milliseconds at most."""
CANDIDATES_MAX = 150_000
"""Candidates of one page; a page that needs more is handed out short, with where to go on."""
NUMBERS_MAX = 1_000
"""Orders that an id, a reference or an amount may lead to at once; what leads to more is walked otherwise."""
GATHERED_MAX = 2_000
"""A source no larger than this is read whole and sorted by amount here."""


@dataclass(slots=True)
class Found:
    """What a walk came to: documents, how many matched (counted by status code), where to go on (None: all seen)."""

    position: int = 0
    documents: list[OrderDocument] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    matched: int = 0
    next: str | None = None
    is_gathered: bool = False


def run(
    live: Generation, request: dict[str, Any], *, want: int, after: str | None, candidates_max: int = CANDIDATES_MAX
) -> Found | None:
    """Walk until `want` orders matched, nothing is left, or `candidates_max` were looked at.

    None: the generation is gone; another one is live by now.
    """
    request = request | {
        "checkpoint": keys.checkpoint(live.name, live.generation),
        "prefix": live.prefix,
        "budget": min(STEP_BUDGET, candidates_max),
        "numbers_max": NUMBERS_MAX,
        "gathered_max": GATHERED_MAX,
    }
    _go_on(request, after, by_amount=bool(request.get("amounts")))
    found = Found()
    candidates = 0
    while True:
        texts = json.dumps(request | {"limit": want - found.matched}, ensure_ascii=False, separators=(",", ":"))
        position, exhausted, last, matched, gathering, flat = run_script(live.client, "order_walk", [], [texts])
        if position == b"":
            return None
        if gathering and not found.is_gathered:
            # Gathering takes everything, in number order; what was said about where to go on is for the caller.
            found.is_gathered = request["gathering"] = True
            request.pop("high", None), request.pop("low", None)
        # The lowest of the positions seen: what is older cannot be missing.
        found.position = found.position or int(position)
        found.matched += matched
        _add(found, flat, counting=request["counting"])
        candidates += request["budget"]
        if exhausted:
            found.next = None
            return found
        found.next = last.decode() or after
        if (found.matched >= want and not found.is_gathered) or candidates >= max(candidates_max, GATHERED_MAX * 2):
            return found
        _go_on(request, found.next, by_amount=bool(request.get("amounts")) and not gathering)


def _add(found: Found, flat: list[bytes], *, counting: bool) -> None:
    for first, second in zip(flat[::2], flat[1::2], strict=True):
        if counting:
            code = first.decode()
            found.counts[code] = found.counts.get(code, 0) + int(second)
        else:
            found.documents.append(decode(int(first), second.decode()))


def _go_on(request: dict[str, Any], after: str | None, *, by_amount: bool) -> None:
    if after is None:
        return
    if by_amount:
        lowest, highest = request["amounts"]
        request["amounts"] = [lowest, after] if request["descending"] else [after, highest]
    elif request["descending"]:
        request["high"] = min(int(after) - 1, request.get("high", int(after)))
    else:
        request["low"] = max(int(after) + 1, request.get("low", 1))
