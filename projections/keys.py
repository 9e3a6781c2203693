"""Every key in Redis, made in one place: prefix, schema version, projection, generation, then what it holds.

Raising the schema version makes every read model anew, beside what an older program still reads.
"""

from __future__ import annotations

PREFIX = "ol"
SCHEMA_VERSION = 3


def flag(target: str) -> str:
    """A wake-up of the target is on its way."""
    return f"{PREFIX}:{SCHEMA_VERSION}:wake:{target}"


def reports() -> str:
    """The hash of the processes' figures."""
    return f"{PREFIX}:{SCHEMA_VERSION}:reports"


def pointer(name: str) -> str:
    """The projection's live generation."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:live"


def generations(name: str) -> str:
    """The set of the projection's generations that have data, live or not."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:generations"


def beginning(name: str) -> str:
    """What all keys of the projection's generations begin with."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:"


def data(name: str, generation: str) -> str:
    """The prefix of all data of one generation."""
    return f"{beginning(name)}{generation}:"


def checkpoint(name: str, generation: str) -> str:
    """The hash of the last position applied, that event's leaf hash (hexadecimal), its time, and `building_to`."""
    return data(name, generation) + "checkpoint"


def stopped(name: str, generation: str) -> str:
    """The hash of position and reason of an event that cannot be applied."""
    return data(name, generation) + "stopped"


def builder(name: str, generation: str) -> str:
    """Someone is filling the generation; expires when he dies."""
    return data(name, generation) + "builder"


ACCOUNTS = "accounts"
"""The hash (below `data`) of balances by account."""
