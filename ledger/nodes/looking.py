"""A look at one node: does it take writes, and of which cluster is it.

Nothing here reads a table: a Galera node that has lost its cluster refuses that, and a node that is asked every second
should not notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pymysql

_VARIABLES = ("hostname", "port", "read_only", "server_id", "super_read_only", "wsrep_on")
_STATUS = ("wsrep_cluster_state_uuid", "wsrep_cluster_status", "wsrep_local_state", "wsrep_ready")
_SYNCED, _DONOR = "4", "2"
TOO_MANY_CONNECTIONS = frozenset({1040, 1203, 1226})
"""The server lives, and says nothing of what it could do."""


class Fitness(IntEnum):
    """Whether a node may be written to."""

    UNFIT = 0
    """It is read-only, not in step with its cluster, or gone."""
    SPARE = 1
    """It takes writes, but copies itself to a node that joins, for which it may stop at any moment."""
    FIT = 2


@dataclass(frozen=True, slots=True)
class Look:
    """What a node said of itself. `group`: nodes with the same one are kept in step by the engine itself."""

    fitness: Fitness
    group: str = ""
    is_galera: bool = False
    reason: str = ""
    is_read_only: bool = False


SYNC_WAIT = 7
"""A transaction on Galera begins, with whatever statement, only when all is applied that any node committed before."""
GONE = Look(Fitness.UNFIT, reason="nobody listens there")


def look_through(connection: pymysql.Connection[Any]) -> Look:
    """Ask a node how it is. Raises what the driver raises."""
    with connection.cursor() as cursor:
        said = _named(cursor, "VARIABLES", _VARIABLES)
        if said.get("wsrep_on") == "ON":
            said |= _named(cursor, "STATUS", _STATUS)
    return look_of(said)


def keep_in_step(connection: pymysql.Connection[Any]) -> bool:
    """Have a connection's transactions wait for what other nodes committed before; say whether its node is Galera's."""
    with connection.cursor() as cursor:
        is_galera = _named(cursor, "VARIABLES", ("wsrep_on",)).get("wsrep_on") == "ON"
        if is_galera:
            cursor.execute(f"SET SESSION wsrep_sync_wait={SYNC_WAIT}")
    return is_galera


def look_of(said: dict[str, str]) -> Look:
    """Judge a node by its variables and, for Galera, its status."""
    is_galera = said.get("wsrep_on") == "ON"
    group = said.get("wsrep_cluster_state_uuid", "") if is_galera else ""
    # Two names of one server, or two proxies in front of it, are one node.
    group = group or f"{said.get('hostname')}:{said.get('port')}:{said.get('server_id')}"
    if "ON" in (said.get("read_only"), said.get("super_read_only")):
        return Look(Fitness.UNFIT, group, is_galera, "it is read-only", is_read_only=True)
    if not is_galera:
        return Look(Fitness.FIT, group)
    if said.get("wsrep_ready") != "ON" or said.get("wsrep_cluster_status") != "Primary":
        return Look(Fitness.UNFIT, group, is_galera, "it has lost its cluster, or has not joined it yet")
    state = said.get("wsrep_local_state")
    if state == _DONOR:
        return Look(Fitness.SPARE, group, is_galera, "it copies itself to a node that joins")
    if state != _SYNCED:
        return Look(Fitness.UNFIT, group, is_galera, "it is not in step with its cluster yet")
    return Look(Fitness.FIT, group, is_galera)


def _named(cursor: Any, what: str, names: tuple[str, ...]) -> dict[str, str]:
    listed = ",".join(f"'{name}'" for name in names)
    cursor.execute(f"SHOW GLOBAL {what} WHERE Variable_name IN ({listed})")
    return {str(name).lower(): str(value) for name, value in cursor.fetchall()}
