"""Whether each replica may be read, how far behind it is, and whether others could write to it.

A bad one stops no start: nothing is read from it, and the primary answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.replicas.looking import AWAY, BEHIND, OTHER_LOG, ReplicaState, looked_at
from ledger.safety.checks import BAD, GOOD, Finding, finding
from ledger.settings import LedgerSettings


def findings_of_replicas(settings: LedgerSettings) -> Iterator[Finding]:
    """Yield a finding for each replica of the settings."""
    for state in looked_at(settings):
        yield _finding_of(state, f"{state.name} ({state.address})")


def _finding_of(state: ReplicaState, named: str) -> Finding:
    lag_s = f"{state.lag_s or 0.0:.1f}"
    if state.problem == AWAY:
        mend = "start it, or correct ORDERLEDGER_REPLICA_URLS; the service's user needs SELECT there"
        return finding("replicas", BAD, f"{named} cannot be read", mend)
    if state.problem == OTHER_LOG:
        mend = "set it up anew from a copy of the primary, or name another server"
        return finding("replicas", BAD, f"{named} holds another log", mend)
    if state.problem == BEHIND:
        mend = "see SHOW REPLICA STATUS there; nothing is read from it until it is within ORDERLEDGER_REPLICA_LAG_S_MAX"
        return finding("replicas", BAD, f"{named} is too far behind: {state.lag_events} events, {lag_s} s", mend)
    if state.is_read_only is False:
        mend = "SET GLOBAL read_only=1 there and in its configuration: what is written there parts it from the primary"
        return finding("replicas", BAD, f"{named} takes writes", mend)
    if state.lag_events:
        return finding("replicas", GOOD, f"{named} is {state.lag_events} events behind, {lag_s} s")
    return finding("replicas", GOOD, f"{named} answers")
