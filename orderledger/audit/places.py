"""Places in the log as options name them: positions and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ledger.settings import LedgerSettings


def microseconds(text: str) -> int:
    """Return an option's time. Raises click.UsageError."""
    from ledger.clock import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise click.UsageError(f"{text} is not a time such as 2026-11-22T10:00:00Z: {error}") from None


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log as an option names it: by its position, or (`time_us` not None) by time."""

    position: int = 0
    time_us: int | None = None


class _PlaceType(click.ParamType[Place]):
    name = "position or time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Return the place of a text. Raises click.UsageError."""
        if isinstance(value, Place):
            return value
        if value.isascii() and value.isdigit():
            return Place(position=int(value))
        return Place(time_us=microseconds(value))


PLACE = _PlaceType()
"""The type of an option that takes a position, or a time such as 2026-11-22T10:00:00Z."""


def first_position(settings: LedgerSettings, place: Place) -> int:
    """Return the first position at or after a place."""
    from ledger.audit.replaying import position_at_time

    return max(1, place.position) if place.time_us is None else position_at_time(settings, place.time_us - 1) + 1


def last_position(settings: LedgerSettings, place: Place) -> int:
    """Return the last position at or before a place; 0 when there is none."""
    from ledger.audit.replaying import position_at_time

    return place.position if place.time_us is None else position_at_time(settings, place.time_us)
