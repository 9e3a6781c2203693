"""Filtered walks over the transactions, a bounded number of candidates at a time, on from any position."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import redis

from ledger.errors import ReadUnavailable
from projections import generations, keys
from projections.generations import Generation, run_script
from projections.redis_clients import reading
from projections.transaction_documents import Transaction, decode

STEP_CANDIDATES_MAX = 1_500
"""Candidates looked at in one call of the script, which then takes a few milliseconds at most."""
CANDIDATES_MAX = 150_000
"""Candidates of one page; a page that needs more is handed out short, with where to go on."""
NUMBERS_MAX = 1_000
"""Transactions that ids and references may lead to; what leads to more is walked otherwise."""
SWITCHES_MAX = 5


@dataclass(slots=True)
class Found:
    """What a walk came to: the transactions, the position reflected, and after which position to go on (None: all seen)."""

    position: int = 0
    transactions: list[Transaction] = field(default_factory=list)
    next: int | None = None


def live_or_unavailable(client: redis.Redis, name: str) -> Generation:
    """Return the live generation. Raises ReadUnavailable when there is none."""
    found = generations.live(client, name)
    if found is None:
        raise ReadUnavailable(reason="the read model is being built")
    return found


def page(client: redis.Redis, name: str, request: dict[str, Any], *, limit: int) -> Found:
    """Return up to `limit` transactions; the request says what of, in which direction. Raises ReadUnavailable."""
    with reading():
        for _ in range(SWITCHES_MAX):
            found = _run(live_or_unavailable(client, name), dict(request), limit)
            if found is not None:
                return found
    raise ReadUnavailable(reason="the read model is being replaced")


def _run(live: Generation, request: dict[str, Any], limit: int) -> Found | None:
    """Walk until `limit` were found, nothing is left, or enough were looked at; None: begin anew, it is gone or older."""
    request |= {
        "checkpoint": keys.checkpoint(live.name, live.generation),
        "prefix": live.prefix,
        "budget": STEP_CANDIDATES_MAX,
        "numbers_max": NUMBERS_MAX,
    }
    found = Found()
    for _ in range(CANDIDATES_MAX // STEP_CANDIDATES_MAX):
        request["want"] = limit - len(found.transactions)
        texts = json.dumps(request, ensure_ascii=False, separators=(",", ":"))
        position, is_exhausted, last, *flat = run_script(live.client, "walk", [], [texts])
        if position == b"":
            if last == b"unbuilt":
                raise ReadUnavailable(reason="the read model is being built")
            return None
        if int(position) < found.position:
            # Redis went back: what the steps before found may not be there any more.
            return None
        # The position of the first step: what is older cannot be missing.
        found.position = found.position or int(position)
        for line, reversal in zip(flat[::2], flat[1::2], strict=True):
            found.transactions.append(decode(line.decode(), int(reversal) if reversal else None))
        found.next = None if is_exhausted else int(last)
        if is_exhausted or len(found.transactions) >= limit:
            return found
        go_on_after(request, int(last))
    return found


def go_on_after(request: dict[str, Any], position: int) -> None:
    """Narrow a request to what comes after a position in its direction."""
    if request["descending"]:
        request["position_to"] = min(position - 1, request.get("position_to", position))
    else:
        request["position_from"] = max(position + 1, request.get("position_from", 0))
