"""How fresh a read must be: wait, within a bound, until its read model, or a replica of the log, has reached the position
that the client names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from api.errors import NotFreshEnough
from api.routing import Call, min_position
from projections import freshness

Result = TypeVar("Result")


def reflected(call: Call, projection: str) -> int:
    """Return the position that the read model reflects, after waiting for the one asked for. Raises NotFreshEnough."""
    wanted = min_position()
    services = call.services
    position = freshness.wait_for(services.redis, projection, wanted, services.settings.min_position_wait_s)
    if position < wanted:
        raise NotFreshEnough(position=position, wanted=wanted)
    return position


def read_past(call: Call, query: Callable[[sa.Connection], Result], *, position: int = 0, until_us: int = -1) -> Result:
    """Return what the query reads of the log's past, from a replica that has what it needs, else from the primary.

    It needs the position that the client asked for, for which a replica is waited for; and `position`, and everything
    recorded until `until_us`, for which none is. Raises ReadUnavailable, and what the query raises.
    """
    wanted, services = min_position(), call.services
    return services.replicas.read(  # type: ignore[no-any-return]
        query,
        position=max(position, wanted),
        until_us=until_us,
        wait_s=services.settings.min_position_wait_s if wanted else 0.0,
    )
