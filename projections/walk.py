"""Ordered, filtered walks over the documents of a read model, a bounded number of candidates at a time.

A walk goes by position (scores of sorted sets) or by amount (members of lexicographic sets), up or down, and can go on
after any sort key. What the chosen sets do not decide, conditions on the documents do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from ledger.errors import ReadUnavailable
from ledger.money import AMOUNT_MINOR_MAX
from projections import generations, keys
from projections.generations import Generation, run_script
from projections.order_documents import folded
from projections.redis_clients import reading

STEP_CANDIDATES_MAX = 1_500
STEP_CANDIDATES_MIN = 100
STEP_COMPARISONS_MAX = 60_000
"""Candidates of one call times the sets it merges: what one call may cost the other clients."""
CANDIDATES_MAX = 150_000
"""Candidates of one page; a page that needs more is handed out short, with where to go on."""
CHUNK_MAX = 200
SOURCES_MAX = 300
"""Sets merged in one walk at most."""
LISTED_MAX = 1_000
"""Documents named by ids or references that are looked up one by one; more are found by walking."""
SWITCHES_MAX = 5
AMOUNT_DIGITS = 14
NUMBER_DIGITS = 8

Condition = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What to walk over: sets (relative keys) and `listed` numbers with their sort keys, inclusive bounds, conditions."""

    sources: Sequence[str]
    conditions: Sequence[Condition] = ()
    listed: Sequence[tuple[str, int]] = ()
    by_amount: bool = False
    descending: bool = True
    low: int | None = None
    high: int | None = None


@dataclass(slots=True)
class Found:
    """What a walk came to: documents as stored, how many matched, and where to go on (None: nothing is left)."""

    position: int
    texts: list[str] = field(default_factory=list)
    matched: int = 0
    next: str | None = None


def live_or_unavailable(client: redis.Redis, name: str) -> Generation:
    """Return the live generation. Raises ReadUnavailable when there is none."""
    found = generations.live(client, name)
    if found is None:
        raise ReadUnavailable(reason="the read model is being built")
    return found


def one_of(place: int, values: Sequence[str]) -> Condition:
    """Return the condition that the field is one of these."""
    return ["in", place, dict.fromkeys(values, True)]


def reference_condition(kind: str, places: Mapping[str, int], text: str) -> Condition:
    """Return the condition that the reference equals a text, or has it as its prefix, without regard to case."""
    return [kind, places["reference"], places["folded"], folded(text)]


def numbers_of_reference(live: Generation, reference: str, *, is_whole: bool) -> list[int]:
    """Return the numbers of up to LISTED_MAX + 1 documents with this reference, or this prefix of one."""
    low = b"[" + folded(reference).encode() + (b"\0" if is_whole else b"")
    # No text has the byte 255 in it.
    members = cast(
        "list[bytes]",
        live.client.zrangebylex(live.prefix + keys.REFERENCES, low, low + b"\xff", start=0, num=LISTED_MAX + 1),
    )
    return [int(each[-NUMBER_DIGITS:], 16) for each in members]


def amount_member(amount_minor: int, number: int) -> str:
    """Return the member of a lexicographic set that sorts by amount, then number."""
    return f"{amount_minor:0{AMOUNT_DIGITS}x}{number:0{NUMBER_DIGITS}x}"


def run(
    live: Generation, walk: Walk, *, want: int, after: str | None, counting: bool = False, candidates_max: int
) -> Found | None:
    """Walk until `want` documents were found, nothing is left or `candidates_max` is reached.

    None: the generation is gone; another one is live by now.
    """
    found = Found(position=0)
    candidates = 0
    while True:
        request = _request(live, walk, want - found.matched, after, counting=counting)
        answer = run_script(live.client, "walk", [], [json.dumps(request, ensure_ascii=False)])
        if answer[0] == b"":
            return None
        if not found.position:
            found.position = int(answer[0])
        after = answer[1].decode() or after
        found.matched += answer[3]
        candidates += answer[4]
        found.texts += [text.decode() for text in answer[5:]]
        if answer[2]:
            return found
        if found.matched >= want or candidates >= candidates_max:
            found.next = after
            return found


def page(
    client: redis.Redis, name: str, walk_of: Callable[[Generation], Walk], *, limit: int, after: str | None
) -> Found:
    """Return up to `limit` documents after a sort key; `walk_of(generation)` says what to walk over.

    Raises ReadUnavailable.
    """
    with reading():
        for _ in range(SWITCHES_MAX):
            live = live_or_unavailable(client, name)
            found = run(live, walk_of(live), want=limit, after=after, candidates_max=CANDIDATES_MAX)
            if found is not None:
                return found
    raise ReadUnavailable(reason="the read model is being replaced")


def _request(live: Generation, walk: Walk, want: int, after: str | None, *, counting: bool) -> dict[str, Any]:
    low, high = bounds_of(walk, after)
    total = len(walk.sources) + 1
    budget = max(STEP_CANDIDATES_MIN, min(STEP_CANDIDATES_MAX, STEP_COMPARISONS_MAX // total))
    return {
        "checkpoint": keys.checkpoint(live.name, live.generation),
        "documents": live.prefix + keys.document_bucket(0)[:-1],
        "per": keys.BUCKET_DOCUMENTS,
        "sources": [live.prefix + each for each in walk.sources],
        "listed": _listed(walk, after),
        "conditions": list(walk.conditions),
        "lexical": walk.by_amount,
        "down": walk.descending,
        "low": low,
        "high": high,
        "want": want,
        "budget": budget,
        "chunk": max(2, min(CHUNK_MAX, want) // total + 1),
        "chunk_max": CHUNK_MAX,
        "counting": counting,
    }


def bounds_of(walk: Walk, after: str | None = None) -> tuple[str, str]:
    """Return the range to walk over in Redis's notation: within the bounds, and beyond `after`."""
    if walk.by_amount:
        low = "-" if walk.low is None else f"[{max(0, min(walk.low, AMOUNT_MINOR_MAX + 1)):0{AMOUNT_DIGITS}x}"
        high = "+" if walk.high is None else f"({max(0, min(walk.high, AMOUNT_MINOR_MAX) + 1):0{AMOUNT_DIGITS}x}"
    else:
        low = "-inf" if walk.low is None else str(walk.low)
        high = "+inf" if walk.high is None else str(walk.high)
    if after is None:
        return low, high
    # Whatever goes on after a key started within the bounds, so the key is the tighter one.
    return (low, f"({after}") if walk.descending else (f"({after}", high)


def _listed(walk: Walk, after: str | None) -> list[list[Any]]:
    """Return the listed candidates that are left, in walking order; conditions on them are checked as on all."""

    def sort_key(text: str) -> Any:
        return text if walk.by_amount else int(text)

    entries = sorted({(sort_key(text), number) for text, number in walk.listed}, reverse=walk.descending)
    if after is not None:
        last = sort_key(after)
        entries = [each for each in entries if (each[0] < last if walk.descending else each[0] > last)]
    return [list(each) for each in entries]
