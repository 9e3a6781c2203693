"""Where audits and exports read: the first replica that may be read, else the primary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger import log
from ledger.database import database_url, open_reading_engine
from ledger.replicas.looking import NO_REPLICA, looked_at
from ledger.settings import LedgerSettings

PRIMARY = "the primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A server to read the log from. `name` says which, and why not another, for people."""

    url: str
    name: str
    is_replica: bool


def sources(settings: LedgerSettings, *, position: int = 0, until_us: int = -1) -> Iterator[Source]:
    """Yield the replicas that may be read, and have `position` and are beyond `until_us`, in order; at last the primary.

    Whoever reads goes on to the next when one fails.
    """
    unused = []
    for state, url in zip(looked_at(settings), settings.replica_urls, strict=True):
        named = f"{state.name} ({state.address})"
        problem = state.problem
        if problem is None and not _has(url, settings, position, until_us):
            problem = "has not got there yet"
        if problem is None:
            yield Source(url=url, name=named, is_replica=True)
            problem = "failed"
        unused.append(f"{named} {problem}")
    name = f"{PRIMARY}; {', '.join(unused)}" if unused else PRIMARY
    yield Source(url=database_url(settings), name=name, is_replica=False)


def source(settings: LedgerSettings, *, position: int = 0, until_us: int = -1) -> Source:
    """Return the first of the sources."""
    return next(sources(settings, position=position, until_us=until_us))


def _has(url: str, settings: LedgerSettings, position: int, until_us: int) -> bool:
    if position == 0 and until_us < 0:
        return True
    engine = open_reading_engine(url, settings)
    try:
        with engine.connect() as connection:
            head = log.head(connection)
            return head.position >= position and head.recorded_at_us > until_us
    except NO_REPLICA:
        return False
    finally:
        engine.dispose()
