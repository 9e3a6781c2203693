"""How each node of a list of database URLs is, and whether they are one log.

A bad one stops no start: nothing is written to it, and the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.nodes import Cluster
from ledger.nodes.looking import Fitness, Look
from ledger.safety.checks import BAD, GOOD, WARNING, Finding, finding


def findings_of_nodes(cluster: Cluster) -> Iterator[Finding]:
    """Yield a finding for each node, and one when several take writes that no engine keeps in step."""
    looks = cluster.looks()
    if cluster.is_split():
        mend = "make all but the right one read-only: SET GLOBAL read_only=1, there and in its configuration"
        yield finding("nodes", BAD, "several take writes and are no cluster; nothing is written to any", mend)
    for name, look in looks:
        yield _finding_of(name, look)


def _finding_of(name: str, look: Look | None) -> Finding:
    if look is None or not look.group:
        return finding("nodes", BAD, f"{name} does not answer", "start it, or correct the list of URLs")
    if look.fitness is Fitness.FIT:
        return finding("nodes", GOOD, f"{name} can be written to")
    if look.is_read_only:
        return finding("nodes", GOOD, f"{name} stands by: {look.reason}")
    if look.fitness is Fitness.SPARE:
        return finding("nodes", WARNING, f"{name} is written to only if no other can be: {look.reason}", "wait for it")
    return finding("nodes", BAD, f"{name}: {look.reason}", "see its log, and SHOW STATUS LIKE 'wsrep%' there")
