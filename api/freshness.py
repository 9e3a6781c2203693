"""How fresh a read must be: wait, within a bound, until its read model has reached the position that the client names."""

from __future__ import annotations

import re

from api.errors import MalformedRequest, NotFreshEnough
from api.routing import Call
from projections import freshness

HEADER = "Ledger-Min-Position"
_POSITION = re.compile(r"[0-9]{1,15}")


def min_position(call: Call) -> int:
    """Return the position that the answer must reflect at least, 0 when the client does not care."""
    given = call.headers.get(HEADER, "0")
    if _POSITION.fullmatch(given) is None:
        raise MalformedRequest(problem=f"{HEADER} must be a position")
    return int(given)


def reflected(call: Call, projection: str) -> int:
    """Return the position that the read model reflects, after waiting for the one asked for. Raises NotFreshEnough."""
    wanted = min_position(call)
    services = call.services
    position = freshness.wait_for(services.redis, projection, wanted, services.settings.min_position_wait_s)
    if position < wanted:
        raise NotFreshEnough(position=position, wanted=wanted)
    return position
