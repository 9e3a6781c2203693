"""Every key in Redis, made in one place: prefix, schema version, projection, generation, then what it holds.

Raising the schema version makes every read model anew, beside what an older program still reads.
"""

from __future__ import annotations

from zlib import crc32

PREFIX = "ol"
SCHEMA_VERSION = 1
BUCKET_DOCUMENTS = 100
"""Documents in one hash: many small keys cost more memory than few of this size."""
ID_BUCKETS = 65_536


def flag(target: str) -> str:
    """A wake-up of the target is on its way."""
    return f"{PREFIX}:{SCHEMA_VERSION}:wake:{target}"


def pointer(name: str) -> str:
    """The projection's live generation."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:live"


def generations(name: str) -> str:
    """The set of the projection's generations that have data, live or not."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:generations"


def data(name: str, generation: str) -> str:
    """The prefix of all data of one generation."""
    return f"{PREFIX}:{SCHEMA_VERSION}:{name}:{generation}:"


def checkpoint(name: str, generation: str) -> str:
    """The hash of the last position applied, that event's leaf hash (hexadecimal) and its time."""
    return data(name, generation) + "checkpoint"


def stopped(name: str, generation: str) -> str:
    """The hash of position and reason of an event that cannot be applied."""
    return data(name, generation) + "stopped"


def builder(name: str, generation: str) -> str:
    """Someone is filling the generation; expires when he dies."""
    return data(name, generation) + "builder"


def document_bucket(number: int) -> str:
    """The hash (below `data`) of the document with this number."""
    return f"d:{number // BUCKET_DOCUMENTS}"


def id_bucket(text: str) -> str:
    """The hash (below `data`) in which this id is looked up."""
    return f"i:{crc32(text.encode()) % ID_BUCKETS}"


def by_time(kind: str, *parts: str) -> str:
    """The sorted set (below `data`) of the numbers of documents of a kind, by position."""
    return ":".join(("t", kind, *parts))


def by_amount(kind: str, *parts: str) -> str:
    """The lexicographic set (below `data`) of amounts and numbers of documents of a kind."""
    return ":".join(("a", kind, *parts))


REFERENCES = "r"
"""The lexicographic set (below `data`) of folded references, each followed by a zero byte and the number."""
TALLY = "n"
"""The hash (below `data`) of counters."""
ACCOUNTS = "accounts"
"""The hash (below `data`) of balances by account."""
