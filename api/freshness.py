"""How fresh a read must be: wait, within a bound, until its read model has reached the position that the client names."""

from __future__ import annotations

from api.errors import NotFreshEnough
from api.routing import Call, min_position
from projections import freshness


def reflected(call: Call, projection: str) -> int:
    """Return the position that the read model reflects, after waiting for the one asked for. Raises NotFreshEnough."""
    wanted = min_position()
    services = call.services
    position = freshness.wait_for(services.redis, projection, wanted, services.settings.min_position_wait_s)
    if position < wanted:
        raise NotFreshEnough(position=position, wanted=wanted)
    return position
